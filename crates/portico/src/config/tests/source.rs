//! Finding and reading the file.

use std::fs;
use std::path::Path;

use super::super::problem::Code;
use super::super::source::MAX_BYTES;
use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portico-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn environment(&self) -> Environment {
        Environment { directory: self.0.clone(), ..environment(&[("HOME", "/h")]) }
    }

    fn code(&self, name: &str) -> Code {
        let problems = load(Some(Path::new(name)), &self.environment()).expect_err(name);
        let [problem] = &problems.list[..] else { panic!("{:#?}", problems.list) };
        problem.code
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _it_is_only_a_temporary_folder = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_no_configuration_file_is_said_so() {
    let folder = Folder::new("bad");
    fs::write(folder.0.join("large"), vec![b'#'; MAX_BYTES as usize + 1]).expect("written");
    fs::write(folder.0.join("gbk"), b"[site]\n# \xd6\xd0\xce\xc4\n").expect("written");
    fs::create_dir_all(folder.0.join("folder")).expect("made");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.0.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("made");
    for (name, code) in [
        ("missing", Code::Unreadable),
        ("large/below", Code::Unreadable),
        ("folder", Code::Unreadable),
        ("pipe", Code::Unreadable),
        ("large", Code::TooLarge),
        ("gbk", Code::NotText),
    ] {
        assert_eq!(folder.code(name), code, "{name}");
    }
    fs::write(folder.0.join("full"), vec![b'#'; MAX_BYTES as usize]).expect("written");
    assert!(load(Some(Path::new("full")), &folder.environment()).is_ok());
    assert!(load(Some(Path::new("/dev/null")), &folder.environment()).is_ok());
}

#[test]
fn the_named_file_comes_first_then_the_variable_then_the_nearby_one() {
    let folder = Folder::new("order");
    let source = |named: Option<&str>, variable: Option<&str>| {
        let mut environment = folder.environment();
        if let Some(variable) = variable {
            environment.variables.insert("PORTICO_CONFIG".to_owned(), variable.to_owned());
        }
        load(named.map(Path::new), &environment).expect("valid").source().cloned()
    };
    for name in ["a.toml", "b.toml"] {
        fs::write(folder.0.join(name), "").expect("written");
    }
    assert_eq!(source(Some("a.toml"), Some("b.toml")), Some("a.toml".into()));
    assert_eq!(source(None, Some("b.toml")), Some("b.toml".into()));
    fs::write(folder.0.join("portico.toml"), "").expect("written");
    assert_eq!(source(None, Some("")), Some("portico.toml".into()));
    // There but not readable: an error, never skipped.
    fs::remove_file(folder.0.join("portico.toml")).expect("removed");
    fs::create_dir(folder.0.join("portico.toml")).expect("made");
    assert!(load(None, &folder.environment()).is_err());
}

/// Every example of the repository passes, and all but the reference file could be served by this version.
#[test]
fn the_examples_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    for file in fs::read_dir(folder).expect("the examples") {
        let path = file.expect("a file").path();
        let environment = environment(&[("HOME", "/h")]);
        let loaded = load(Some(&path), &environment)
            .unwrap_or_else(|problems| panic!("{}", shown(&problems, Tongue::English)));
        if path.file_name().is_some_and(|name| name != "portico.toml") {
            assert_eq!(remarks(&loaded), [], "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 6, "only {count} examples");
}
