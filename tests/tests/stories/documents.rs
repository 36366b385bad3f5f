//! The documents keep up with the code: what they link to is there, what they call proof is a test, and what readers are to
//! paste can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::repository_file;

/// The Markdown files of the repository that people read.
fn documents() -> Vec<PathBuf> {
    let markdown = |folder: PathBuf| {
        let files =
            std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("readable").path());
        files.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    [markdown(repository_file(".")), markdown(repository_file("docs"))].concat()
}

/// Every `[text](target)` of a document that points into the repository, without its `#section`.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("](").filter_map(|(at, _)| {
        let words = text[..at].rsplit('[').next()?;
        let target = text[at + 2..].split(')').next()?;
        let file = target.split('#').next()?;
        (!file.is_empty() && !file.contains(':')).then_some((words, file))
    })
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_link_leads_to_a_file() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = read(&document);
        let folder = document.parent().expect("a file is in a folder");
        let broken = links(&text).filter(|(_, file)| !folder.join(file).exists());
        missing.extend(broken.map(|(_, file)| format!("{}: {file}", document.display())));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_json_snippet_for_clients_parses() {
    let text = read(&repository_file("docs/clients.md"));
    let mut snippets = 0;
    for block in text.split("\n```json\n").skip(1) {
        let snippet = block.split("\n```").next().unwrap_or_default();
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(snippet);
        assert!(parsed.as_ref().is_ok_and(serde_json::Value::is_object), "{parsed:?}: {snippet}");
        snippets += 1;
    }
    assert!(snippets >= 8, "{snippets} snippets");
}

#[test]
fn every_proof_of_a_requirement_is_a_test() {
    let document = repository_file("docs/requirements.md");
    let text = read(&document);
    let mut sources: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut missing = Vec::new();
    let mut proofs = 0;
    for (words, file) in links(&text).filter(|(_, file)| file.ends_with(".rs")) {
        let path = repository_file("docs").join(file);
        let source = sources.entry(path).or_insert_with_key(|path| read(path));
        let test = words.trim_matches('`');
        proofs += 1;
        if !is_test(source, test) {
            missing.push(format!("{test} in {file}"));
        }
    }
    assert!(missing.is_empty() && proofs > 300, "{proofs} proofs, of which these are no tests: {missing:#?}");
}

/// Whether the source has a function of this name under an attribute that makes it a test.
fn is_test(source: &str, name: &str) -> bool {
    source.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let item = source[..at].rsplit("\n\n").next().unwrap_or_default();
        item.contains("#[test]") || item.contains("#[tokio::test") || item.contains("#[rstest")
    })
}

#[test]
fn every_requirement_has_an_id_of_its_own_and_a_proof() {
    let text = read(&repository_file("docs/requirements.md"));
    let mut ids = BTreeSet::new();
    for row in
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id |") && !line.starts_with("| ---"))
    {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, proof] = cells[..] else { panic!("three cells, please: {row}") };
        assert!(ids.insert(id), "{id} stands twice");
        assert!(proof.contains(".rs)") || proof.starts_with("by command, in CI: `make "), "{id} has no proof: {proof}");
    }
}
