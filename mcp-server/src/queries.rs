//! Saved queries: SQL in files that the operator keeps, offered as resources to those who may run it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::is_database_name;

/// Longest file that is taken, in bytes: what the guard takes of a statement.
const MAX_BYTES: u64 = 64 * 1024;

/// Longest description that is shown, in characters.
const MAX_DESCRIPTION: usize = 500;

/// A statement with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedQuery {
    /// The file's name without its ending.
    pub name: String,
    /// The comment that the file begins with.
    pub description: Option<String>,
    /// The whole file.
    pub sql: String,
}

/// The saved queries of each database, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedQueries {
    of_default: BTreeMap<String, SavedQuery>,
    of_others: BTreeMap<String, BTreeMap<String, SavedQuery>>,
}

/// Why a folder of queries can't be used.
#[derive(Debug, thiserror::Error)]
pub enum QueriesError {
    /// It can't be read.
    #[error("{} can't be read", .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// It is no place for queries, or no query.
    #[error("{}: {problem}", .path.display())]
    Unfit {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl SavedQueries {
    /// Those in `folder`: each `NAME.sql` in it is of the default database, each in a folder of a database's name is of that one.
    ///
    /// # Errors
    /// [`QueriesError`] where anything of it can't be read as what it should be.
    pub fn load(folder: &Path) -> Result<Self, QueriesError> {
        let mut queries = Self { of_default: in_folder(folder)?, of_others: BTreeMap::new() };
        for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name.starts_with('.') {
                continue;
            }
            if !is_database_name(&name) {
                return Err(QueriesError::Unfit { path, problem: "a folder of queries is called as a database is" });
            }
            queries.of_others.insert(name, in_folder(&path)?);
        }
        Ok(queries)
    }

    /// Those of a database, by name.
    pub fn of(&self, database: &str, is_default: bool) -> impl Iterator<Item = &SavedQuery> {
        let of_default = is_default.then_some(&self.of_default).into_iter().flat_map(BTreeMap::values);
        of_default.chain(self.of_others.get(database).into_iter().flat_map(BTreeMap::values))
    }

    /// The databases that have folders of their own.
    pub fn databases(&self) -> impl Iterator<Item = &str> {
        self.of_others.keys().map(String::as_str)
    }
}

fn in_folder(folder: &Path) -> Result<BTreeMap<String, SavedQuery>, QueriesError> {
    let files = entries(folder)?.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "sql"));
    files
        .filter(|path| path.is_file())
        .map(|path| {
            let query = read(&path)?;
            Ok((query.name.clone(), query))
        })
        .collect()
}

fn read(path: &Path) -> Result<SavedQuery, QueriesError> {
    let unreadable = |cause| QueriesError::Unreadable { path: path.to_owned(), cause };
    let unfit = |problem| QueriesError::Unfit { path: path.to_owned(), problem };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(unfit("a query has at most 64 KiB"));
    }
    let sql = String::from_utf8(fs::read(path).map_err(unreadable)?).map_err(|_| unfit("it isn't UTF-8"))?;
    let name = path.file_stem().and_then(|name| name.to_str()).ok_or_else(|| unfit("its name isn't UTF-8"))?;
    Ok(SavedQuery { name: name.to_owned(), description: description(&sql), sql })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, QueriesError> {
    let unreadable = |cause| QueriesError::Unreadable { path: folder.to_owned(), cause };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect()
}

/// The lines of comment that a file begins with, as one text.
fn description(sql: &str) -> Option<String> {
    let lines = sql.lines().map(str::trim).skip_while(|line| line.is_empty());
    let words: Vec<&str> = lines.map_while(|line| line.strip_prefix("--")).flat_map(str::split_whitespace).collect();
    let text: String = words.join(" ").chars().take(MAX_DESCRIPTION).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_queries_and_folders_are_databases() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("sales")).unwrap();
        write("top.sql", "\n-- The best\n--   customers\nSELECT 1 -- not this\n");
        write("notes.txt", "nothing");
        write("sales/all.sql", "SELECT 2");
        let queries = SavedQueries::load(folder.path()).unwrap();
        let of = |database: &str, is_default: bool| -> Vec<(String, Option<String>)> {
            queries.of(database, is_default).map(|query| (query.name.clone(), query.description.clone())).collect()
        };
        assert_eq!(of("shop", true), [("top".to_owned(), Some("The best customers".to_owned()))]);
        assert_eq!(of("sales", false), [("all".to_owned(), None)]);
        assert_eq!(of("other", false), []);
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let check = |said: &str| {
            let error = SavedQueries::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        };
        fs::write(folder.path().join("bad.sql"), b"SELECT '\xff'").unwrap();
        check("bad.sql: it isn't UTF-8");
        fs::write(folder.path().join("bad.sql"), " ".repeat(65 * 1024)).unwrap();
        check("at most 64 KiB");
        fs::remove_file(folder.path().join("bad.sql")).unwrap();
        fs::create_dir(folder.path().join("50%")).unwrap();
        check("is called as a database is");
        assert!(SavedQueries::load(&folder.path().join("nowhere")).unwrap_err().to_string().contains("can't be read"));
    }
}
