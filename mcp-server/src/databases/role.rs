//! The role's graded report: what it could do beyond reading, and whether that is too much to serve.

use sqlx::{PgConnection, Row};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Too much: the database isn't served unless that was asked for.
    Refused,
    /// Worth knowing.
    Warned,
}

impl Grade {
    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Warned => "warned",
        }
    }
}

/// One thing that the role could do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What it is, to stand behind "the role".
    pub text: String,
}

/// Everything that the role could do beyond reading, worst first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleReport {
    role: String,
    findings: Vec<Finding>,
}

impl RoleReport {
    /// The report on the role of `connection`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let role =
            sqlx::query_scalar("SELECT session_user::text").persistent(false).fetch_one(&mut *connection).await?;
        let rows = sqlx::query(include_str!("sql/role.sql")).persistent(false).fetch_all(connection).await?;
        let finding = |row: &sqlx::postgres::PgRow| Finding {
            grade: if row.get::<&str, _>("grade") == "refused" { Grade::Refused } else { Grade::Warned },
            text: row.get("finding"),
        };
        Ok(Self { role, findings: rows.iter().map(finding).collect() })
    }

    /// Whether the role could write or read past the database.
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.grade == Grade::Refused)
    }

    /// All findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What the role is refused for, as one sentence without its full stop.
    pub fn refusals(&self) -> String {
        let texts =
            self.findings.iter().filter(|finding| finding.grade == Grade::Refused).map(|finding| finding.text.as_str());
        format!("role {:?} {}", self.role, texts.collect::<Vec<_>>().join("; it "))
    }
}
