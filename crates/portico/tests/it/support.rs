//! What every test here starts with.

use std::path::Path;

use testkit::portico::Portico;
use testkit::scripted::Scripted;

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_portico"))
}

/// What every configuration needs to keep to its own folder, and a log to look into.
pub(crate) const OWN_FOLDER: &str = r#"
[site]
data_dir = "{folder}/data"
[listen]
http = ["127.0.0.1:{port}"]
admin = "unix:{folder}/admin.sock"
[log]
access = "{folder}/access.log"
"#;

/// Portico in local mode in front of one scripted model server that it calls `scripted`, and which calls itself so.
pub(crate) async fn before_scripted(scripted: &Scripted, more: &str) -> Portico {
    let endpoint = scripted.endpoint();
    let model =
        format!("[[model]]\nname = \"scripted\"\nengine = \"external\"\nendpoints = [\"{endpoint}\"]\n");
    Portico::start(binary(), &format!("{OWN_FOLDER}\n{model}\n{more}")).await
}
