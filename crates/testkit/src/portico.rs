//! The product's own binary, as a user starts it: `portico run` with a configuration file, in a folder of its own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    client::{self, Connection},
    net::{self, Address},
    process::{Exit, Process},
    temporary::Folder,
    wait::{self, SOON},
};

const START_DEADLINE: Duration = Duration::from_secs(20);

/// A running Portico. On drop it gets SIGTERM, 5 s later SIGKILL, and so does everything it started.
pub struct Portico {
    ports: BTreeMap<String, u16>,
    process: Process,
    folder: Folder,
}

/// What a crash leaves: the folder, and the ports that nobody else is given.
pub struct Crashed {
    ports: BTreeMap<String, u16>,
    folder: Folder,
}

impl Crashed {
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// In the same folder, with the same ports.
    #[must_use]
    pub fn launch(self, binary: &Path, configuration: &str) -> Portico {
        Portico::launch_in(self.folder, binary, configuration, self.ports, |_| {})
    }
}

impl Portico {
    /// Starts `binary` with `configuration` and waits until `/health` answers on `{port}`.
    ///
    /// In the text, `{port}` and `{port:NAME}` stand for free loopback ports, the same one at every place of the same
    /// name, and `{folder}` for the folder of this Portico, removed on drop. Name at least `data_dir = "{folder}/data"`
    /// and `admin = "unix:{folder}/admin.sock"`: their defaults are the machine's own places.
    pub async fn start(binary: &Path, configuration: &str) -> Self {
        let portico = Self::launch(binary, configuration, |_| {});
        portico.serves().await;
        portico
    }

    /// As [`Portico::launch`], with ports that were chosen before, because somebody else has to know them first.
    #[must_use]
    pub fn launch_at(
        binary: &Path,
        configuration: &str,
        ports: &[(&str, u16)],
        adjust: impl FnOnce(&mut Command),
    ) -> Self {
        let ports = ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        Self::launch_in(Folder::new(), binary, configuration, ports, adjust)
    }

    /// Ends it with SIGKILL, as a crash would, and starts it again in the same folder with the same ports.
    #[must_use]
    pub fn crash_and_launch(self, binary: &Path, configuration: &str) -> Self {
        self.crash().launch(binary, configuration)
    }

    /// Ends it with SIGKILL, as a crash would.
    #[must_use]
    pub fn crash(self) -> Crashed {
        let Self { ports, process, folder } = self;
        process.signal(rustix::process::Signal::KILL);
        drop(process);
        Crashed { ports, folder }
    }

    /// Starts without waiting, for a start that is to fail or that others watch. `adjust` may add arguments
    /// and environment.
    #[must_use]
    pub fn launch(binary: &Path, configuration: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        Self::launch_in(Folder::new(), binary, configuration, BTreeMap::new(), adjust)
    }

    fn launch_in(
        folder: Folder,
        binary: &Path,
        configuration: &str,
        mut ports: BTreeMap<String, u16>,
        adjust: impl FnOnce(&mut Command),
    ) -> Self {
        let text = fill_in(configuration, folder.path(), &mut ports);
        let file = folder.path().join("portico.toml");
        fs::write(&file, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(file).current_dir(folder.path());
        adjust(&mut command);
        let process = Process::start(command, "portico", folder.path());
        Self { ports, process, folder }
    }

    /// Waits until `/health` answers. Panics, with the logs, when Portico ends instead.
    pub async fn serves(&self) {
        let address = self.address();
        wait::until(START_DEADLINE, "portico answers /health", async || {
            if let Some(exit) = self.process.exited() {
                panic!("portico ended ({exit:?}) instead of serving\n{}", self.process.output());
            }
            client::get(&address, "/health").await.ok().filter(|answer| answer.head.status == 200)
        })
        .await;
    }

    /// Of `{port}`.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::loopback(self.port(""))
    }

    /// Of `{port:NAME}`, or of `{port}` for the empty name.
    #[must_use]
    pub fn port(&self, name: &str) -> u16 {
        let port = self.ports.get(name).copied();
        port.unwrap_or_else(|| panic!("the configuration names no {{port:{name}}}"))
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.address().endpoint()
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.address()).await
    }

    pub async fn get(&self, target: &str) -> client::Answer {
        self.once("GET", target, &[], &[]).await
    }

    pub async fn post_json(&self, target: &str, json: &Value) -> client::Answer {
        self.once("POST", target, &[("Content-Type", "application/json")], json.to_string().as_bytes()).await
    }

    /// One request on a connection of its own. Panics when no answer comes.
    pub async fn once(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> client::Answer {
        match client::once(&self.address(), method, target, headers, body).await {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {target}: {error}\n{}", self.process.output()),
        }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The configuration file, to be read, or written anew before a reload.
    #[must_use]
    pub fn configuration_file(&self) -> PathBuf {
        self.folder.path().join("portico.toml")
    }

    /// A new configuration with the same ports and folder, in one step, so that no half of it can be read.
    pub fn rewrite_configuration(&mut self, configuration: &str) {
        let text = fill_in(configuration, self.folder.path(), &mut self.ports);
        let (new, file) = (self.folder.path().join("portico.toml.new"), self.configuration_file());
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &file))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
    }

    /// The complete lines of a log: `stdout`, `stderr`, or a file in the folder, such as `access.log`.
    #[must_use]
    pub fn log_lines(&self, log: &str) -> Vec<String> {
        let text = match log {
            "stdout" => self.process.stdout(),
            "stderr" => self.process.stderr(),
            file => fs::read_to_string(self.folder.path().join(file)).unwrap_or_default(),
        };
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(str::to_owned).collect()
    }

    /// The lines of a log that are JSON objects.
    #[must_use]
    pub fn records(&self, log: &str) -> Vec<Value> {
        let lines = self.log_lines(log);
        let parsed = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
        parsed.filter(Value::is_object).collect()
    }

    /// Waits for a record in a JSON log.
    pub async fn wait_for_record(&self, log: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait::until(SOON, &format!("{log} holds {what}"), async || {
            self.records(log).into_iter().find(|record| wanted(record))
        })
        .await
    }

    /// Waits for a line of a log.
    pub async fn wait_for_line(&self, log: &str, wanted: &str) -> String {
        wait::until(SOON, &format!("{log} says `{wanted}`"), async || {
            self.log_lines(log).into_iter().find(|line| line.contains(wanted))
        })
        .await
    }

    /// SIGTERM, as a service manager stops it, and how it ended.
    pub async fn stop(&self, deadline: Duration) -> Exit {
        self.process.stop(deadline).await
    }
}

/// Puts in ports and the folder. Braces of TOML's own are left alone.
fn fill_in(text: &str, folder: &Path, ports: &mut BTreeMap<String, u16>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find('}').map_or(rest.len(), |end| end + 1);
        let inside = rest[..end].trim_start_matches('{').trim_end_matches('}');
        let port = match inside.split_once(':') {
            Some(("port", name)) => Some(name),
            None if inside == "port" => Some(""),
            _ => None,
        };
        if let Some(name) = port {
            filled.push_str(&ports.entry(name.to_owned()).or_insert_with(net::free_port).to_string());
            rest = &rest[end..];
        } else if inside == "folder" {
            filled.push_str(&folder.to_string_lossy());
            rest = &rest[end..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_tables_left_alone() {
        let mut ports = BTreeMap::from([(String::new(), 1), ("model".to_owned(), 2)]);
        let text = "http = [\"127.0.0.1:{port}\"]\neab = { kid = \"\" }\ndata_dir = \"{folder}/data\"\nx = \"{port:model} {port}\"";
        let filled = fill_in(text, Path::new("/f"), &mut ports);
        assert_eq!(
            filled,
            "http = [\"127.0.0.1:1\"]\neab = { kid = \"\" }\ndata_dir = \"/f/data\"\nx = \"2 1\""
        );
    }
}
