//! All databases that are served: the default one, those that are listed, and those of the databases file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daemon::settings::Source;
use secrecy::SecretString;
use serde::Deserialize;
use sqlx::postgres::PgSslMode;

use super::database::{Credentials, DatabaseConfig, PostgresMode, usual_tls};

/// Most characters of our name of a database.
const MAX_NAME_CHARS: usize = 63;

/// The databases that are served.
#[derive(Debug, Clone)]
pub struct DatabasesConfig {
    /// The one that calls mean which name none.
    pub default: DatabaseConfig,
    /// Further ones.
    pub others: Vec<DatabaseConfig>,
    /// Whether all databases of the default one's host that its role may connect to are served too.
    pub discover: bool,
    /// Most connections to one host, over all its databases.
    pub max_server_connections: usize,
}

impl DatabasesConfig {
    pub(super) fn read(source: &mut Source) -> Self {
        let mut default = DatabaseConfig::read(source);
        let listed = Entry::list(source);
        for number in (1..).zip(&listed).filter(|(_, entry)| entry.is_bare_url()).map(|(number, _)| number) {
            source.problem(format!(
                "POSTGRES_DATABASES: entry {number} is a URL without a name: accepted is name=postgres://user:password@host:port/database"
            ));
        }
        let listed: Vec<Entry> = listed.into_iter().filter(|entry| !entry.is_bare_url()).collect();
        // The default one was given no name, and PostgreSQL's own is what nobody asks about.
        let is_named = source.is_given("DATABASE_URL") || source.is_given("POSTGRES_DB");
        let mut others = Vec::new();
        for entry in &listed {
            match entry.config(&default) {
                Some(config) => others.push(config),
                None => source.problem(format!(
                    "POSTGRES_DATABASES gives {:?} a URL that is none: accepted is name=postgres://user:password@host:port/database, \
                     in which a comma is written %2C",
                    entry.name
                )),
            }
        }
        match others.iter().position(|config| config.name == default.name) {
            // It is listed by its name, too.
            Some(at) => {
                let listed = others.remove(at);
                default = if is_named { default } else { listed };
            }
            None if !is_named && !others.is_empty() => default = others.remove(0),
            None => {}
        }
        let mut databases = Self {
            discover: listed.is_empty(),
            default,
            others,
            max_server_connections: source.number("MAX_SERVER_CONNECTIONS", 1..=10_000),
        };
        databases.add_file(source);
        databases.check_names(source);
        databases
    }

    /// All that are configured, the default one first.
    pub fn configured(&self) -> impl Iterator<Item = &DatabaseConfig> {
        [&self.default].into_iter().chain(&self.others)
    }

    fn add_file(&mut self, source: &mut Source) {
        let Some(path) = source.text("DATABASES_FILE").map(PathBuf::from) else { return };
        match File::read(&path) {
            Ok(file) => {
                for (name, section) in file.databases {
                    match section.config(&name, &self.default) {
                        Ok(config) => self.others.push(config),
                        Err(problem) => {
                            source.problem(format!("DATABASES_FILE: [databases.{name}]: {problem}"));
                        }
                    }
                }
            }
            Err(problem) => source.problem(format!("DATABASES_FILE: {problem}")),
        }
    }

    fn check_names(&self, source: &mut Source) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for config in self.configured() {
            *seen.entry(config.name.as_str()).or_default() += 1;
        }
        for (name, times) in seen {
            if times > 1 {
                source.problem(format!(
                    "the database name {name} stands {times} times in POSTGRES_DB, POSTGRES_DATABASES and DATABASES_FILE together: \
                     give each database a name of its own"
                ));
            }
            if !is_name(name) && !name.is_empty() {
                source.problem(format!(
                    "{name:?} can't be the name of a database here: accepted are 1 to {MAX_NAME_CHARS} characters without / ? # % \
                     and control characters; give it another name with name=url in POSTGRES_DATABASES"
                ));
            }
        }
    }
}

/// Whether a text can be our name of a database: it stands in URIs.
pub fn is_name(text: &str) -> bool {
    let is_odd = |character: char| character.is_control() || matches!(character, '/' | '?' | '#' | '%');
    (1..=MAX_NAME_CHARS).contains(&text.chars().count()) && !text.contains(is_odd)
}

/// One entry of POSTGRES_DATABASES.
struct Entry {
    name: String,
    url: Option<SecretString>,
}

impl Entry {
    /// Whether what stands for the name is a URL, which may hold a password.
    fn is_bare_url(&self) -> bool {
        self.name.contains("://") || self.name.contains('@')
    }

    fn list(source: &Source) -> Vec<Self> {
        let entry = |text: String| match text.split_once('=') {
            Some((name, url)) => {
                let url = url.trim().replace("%2C", ",").replace("%2c", ",");
                Self { name: name.trim().to_owned(), url: Some(SecretString::from(url)) }
            }
            None => Self { name: text, url: None },
        };
        source.list("POSTGRES_DATABASES").into_iter().map(entry).collect()
    }

    fn config(&self, default: &DatabaseConfig) -> Option<DatabaseConfig> {
        match &self.url {
            Some(url) => default.at(&self.name, url.clone()),
            None => Some(default.sibling(&self.name)),
        }
    }
}

/// The databases file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    databases: BTreeMap<String, Section>,
}

/// One database of the file. What it leaves out is as the variables say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    url: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password_env: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<PathBuf>,
    description: Option<String>,
    search_path: Option<Vec<String>>,
    default_schema: Option<String>,
    mode: Option<String>,
    pool_size: Option<usize>,
}

impl File {
    fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown} can't be read: {error}"))?;
        toml::from_str(&text).map_err(|error| {
            // The text of the line may hold a password.
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
            // What is in double quotes is a value, and may be a password.
            let message = error.message();
            let message = if message.contains('"') { "a value is not of the form that its key has" } else { message };
            format!("{shown}{place}: {message}")
        })
    }
}

impl Section {
    fn config(self, name: &str, default: &DatabaseConfig) -> Result<DatabaseConfig, String> {
        let parts = [self.host.is_some(), self.port.is_some(), self.database.is_some(), self.user.is_some()];
        if self.url.is_some() && (parts.contains(&true) || self.password_env.is_some()) {
            return Err("it has a url, so host, port, database, user and password_env belong into that".to_owned());
        }
        let base = match self.url {
            Some(url) => default
                .at(name, SecretString::from(url))
                .ok_or("its url is none: accepted is postgres://user:password@host:port/database")?,
            None => {
                let sibling = default.sibling(name);
                let host = self.host.unwrap_or_else(|| sibling.host.clone());
                let is_elsewhere = host != sibling.host;
                DatabaseConfig {
                    tls: if is_elsewhere { usual_tls(&host) } else { sibling.tls },
                    host,
                    port: self.port.unwrap_or(sibling.port),
                    database: self.database.unwrap_or_else(|| name.to_owned()),
                    user: self.user.unwrap_or_else(|| sibling.user.clone()),
                    credentials: match self.password_env {
                        Some(variable) => password_in(&variable)?,
                        None => sibling.credentials.clone(),
                    },
                    ..sibling
                }
            }
        };
        let tls = match self.sslmode {
            Some(mode) => mode.parse::<PgSslMode>().map_err(|_| {
                format!("sslmode is {mode:?}: accepted is disable, allow, prefer, require, verify-ca or verify-full")
            })?,
            None => base.tls,
        };
        let mode = match self.mode {
            Some(mode) => {
                mode.parse::<PostgresMode>().map_err(|()| format!("mode is {mode:?}: accepted is direct or pooler"))?
            }
            None => base.mode,
        };
        let pool_size = self.pool_size.unwrap_or(base.pool_size);
        if !(1..=100).contains(&pool_size) {
            return Err(format!("pool_size is {pool_size}: accepted is 1 to 100"));
        }
        if let Some(path) = &self.sslrootcert
            && !path.is_file()
        {
            return Err(format!(
                "sslrootcert is {:?}: accepted is the path of a PEM file that can be read",
                path.display()
            ));
        }
        if self.search_path.as_ref().is_some_and(Vec::is_empty) {
            return Err("search_path is empty: list at least one schema, or leave it out".to_owned());
        }
        Ok(DatabaseConfig {
            description: self.description,
            tls,
            tls_root: self.sslrootcert.or(base.tls_root.clone()),
            search_path: self.search_path,
            default_schema: self.default_schema.or(base.default_schema.clone()),
            mode,
            pool_size,
            ..base
        })
    }
}

/// The password in an environment variable.
fn password_in(variable: &str) -> Result<Credentials, String> {
    match std::env::var(variable) {
        Ok(password) if !password.is_empty() => Ok(Credentials::Password(SecretString::from(password))),
        _ => Err(format!("password_env names {variable}, which is not set")),
    }
}
