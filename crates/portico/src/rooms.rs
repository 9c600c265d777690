//! Holds the sources against the table of rooms in ARCHITECTURE.md: imports point down only.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

#[test]
fn imports_point_down_only() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rows = rows(&sources.join("../../../ARCHITECTURE.md"));
    assert!(rows.len() > 15, "only {rows:?} were read from the table");
    let mut rooms = Vec::new();
    for entry in fs::read_dir(&sources).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            rooms.push(entry.file_name().into_string().unwrap());
        }
    }
    let mut wrong = Vec::new();
    for room in &rooms {
        let row = rows.get(room).unwrap_or_else(|| panic!("the table has no row for {room}"));
        for (file, imported) in imports(&sources.join(room)) {
            let below =
                rows.get(&imported).unwrap_or_else(|| panic!("{file} imports {imported}, which is no room"));
            if imported != *room && below >= row && !(*row == 1 && *below == 1) {
                wrong.push(format!("{file} imports {imported}"));
            }
        }
    }
    assert!(wrong.is_empty(), "upwards or sideways:\n{}", wrong.join("\n"));
}

/// Room → row, from the lines of the form "| 4 | `access`, `api` | …".
fn rows(table: &Path) -> HashMap<String, u32> {
    let text = fs::read_to_string(table).unwrap();
    let mut rows = HashMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, row, rooms, ..] = cells[..]
            && let Ok(row) = row.parse()
        {
            rows.extend(rooms.split(',').map(|room| (room.trim().trim_matches('`').to_owned(), row)));
        }
    }
    rows
}

/// Every `crate::ROOM` in the code of a folder, with the file it stands in.
fn imports(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(imports(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for (at, _) in line.match_indices("crate::") {
                    let rest = &line[at + "crate::".len()..];
                    let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
                    found.push((path.display().to_string(), rest[..end].to_owned()));
                }
            }
        }
    }
    found
}
