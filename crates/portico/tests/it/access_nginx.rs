//! The rows of `access_table` that Nginx can express, asked of a real Nginx as well: who moves from there to here meets no
//! other decision than the listed ones. The list stands in docs/access.md, too.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use testkit::client;
use testkit::net::{Address, free_port};
use testkit::process::Process;
use testkit::temporary::Folder;
use testkit::{programs, wait};

use crate::access_model::{Asks, Comes, House, Satisfy, Scope, Shows, houses};
use crate::access_table::{Connections, Door, Thinned, request};
use crate::identity::basic;

/// What an htpasswd file's users can show, and what strangers do.
const SHOWS: [Shows; 6] = [
    Shows::Nothing,
    Shows::Password,
    Shows::WrongPassword,
    Shows::UnknownName,
    Shows::NotBase64,
    Shows::GarbageKey,
];
const ASKS: [Asks; 9] = [
    Asks::Page,
    Asks::Asset,
    Asks::Models,
    Asks::Chat,
    Asks::Unknown,
    Asks::Options,
    Asks::Preflight,
    Asks::ForeignPreflight,
    Asks::Health,
];

/// Where Portico decides otherwise, and on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// Under `satisfy any` a password lets a denied address in there, and it is asked for one. Here `deny` always wins.
    DenyWins,
    /// With a password for the API alone, `satisfy any` leaves pages to networks there: from elsewhere they are 403, whoever
    /// asks. Here whoever has come in may read them, and everybody else is asked who he is.
    PagesUnderAny,
    /// The recipe answers every OPTIONS with 204, whoever asks. Here only preflights of named sites are.
    EveryOptions,
}

impl Difference {
    const ALL: [Self; 3] = [Self::DenyWins, Self::PagesUnderAny, Self::EveryOptions];

    fn between(row: (&House, Comes, Shows, Asks), portico: u16, nginx: u16) -> Option<Self> {
        let (house, comes, shows, asks) = row;
        let client = comes.client();
        let is_any = house.satisfy == Satisfy::Any;
        match (portico, nginx) {
            (_, 204) if matches!(asks, Asks::Options | Asks::ForeignPreflight) => Some(Self::EveryOptions),
            (403, 401) if is_any && house.denies(client) && shows != Shows::Password => Some(Self::DenyWins),
            (403, 200 | 404) if is_any && house.denies(client) && shows == Shows::Password => {
                Some(Self::DenyWins)
            }
            (401, 403) | (200, 403)
                if is_any && house.scope == Scope::Api && !asks.is_api() && !house.allows(client) =>
            {
                Some(Self::PagesUnderAny)
            }
            _ => None,
        }
    }
}

/// One Nginx with a server for each house.
struct Nginx {
    ports: Vec<u16>,
    _process: Process,
    _folder: Folder,
}

impl Nginx {
    async fn start(houses: &[House], model: &str, htpasswd: &Path) -> Self {
        let folder = Folder::new();
        let at = folder.path().display().to_string();
        std::fs::create_dir(folder.path().join("build")).expect("made");
        for file in ["chat.html", "favicon.svg"] {
            std::fs::write(folder.path().join("build").join(file), "here").expect("written");
        }
        let ports: Vec<_> = houses.iter().map(|_| free_port()).collect();
        let servers =
            houses.iter().zip(&ports).map(|(house, port)| server(house, *port, &at, model, htpasswd));
        let servers: String = servers.collect();
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = temporary.map(|name| format!("{name}_temp_path {at}/{name};\n")).concat();
        let text = format!(
            "daemon off;\n{user}pid {at}/nginx.pid;\nerror_log {at}/error.log;\nevents {{}}\n\
             http {{\n{temporary}access_log off;\nset_real_ip_from 127.0.0.1;\nreal_ip_header X-Forwarded-For;\n{servers}}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(programs::find("nginx").expect("it is here"));
        command.arg("-c").arg(&file).arg("-e").arg(folder.path().join("error.log"));
        let process = Process::start(command, "nginx", folder.path());
        wait::until(wait::SOON, "Nginx answers", async || {
            assert_eq!(process.exited(), None, "{}", process.output());
            client::get(&Address::loopback(ports[0]), "/health").await.ok()
        })
        .await;
        Self { ports, _process: process, _folder: folder }
    }
}

/// A house in the recipe's directives: the password for the whole site or for `/v1/`, networks for the site, the chat page
/// as files, the model server behind `/v1/`.
fn server(house: &House, port: u16, folder: &str, model: &str, htpasswd: &Path) -> String {
    let satisfy = format!("{:?}", house.satisfy).to_ascii_lowercase();
    let deny = house.deny.iter().map(|network| format!("deny {network};\n"));
    let allow = house.allow.iter().map(|network| format!("allow {network};\n"));
    // The first that holds the address decides.
    let mut networks: String = deny.chain(allow).collect();
    if !house.allow.is_empty() {
        networks += "deny all;\n";
    }
    let password =
        format!("auth_basic \"Qwen3-VL-8B Admin Access\";\nauth_basic_user_file {};\n", htpasswd.display());
    let (everywhere, api) =
        if house.scope == Scope::Site { (password.as_str(), "") } else { ("", password.as_str()) };
    format!(
        "server {{\nlisten 127.0.0.1:{port};\nlisten [::1]:{port};\nsatisfy {satisfy};\n{networks}{everywhere}\
         location / {{\nroot {folder}/build;\nindex chat.html;\ntry_files $uri $uri/ =404;\n}}\n\
         location /v1/ {{\n{api}if ($request_method = 'OPTIONS') {{ return 204; }}\nproxy_pass {model};\nproxy_http_version 1.1;\n}}\n\
         location /health {{ return 200 \"OK\"; }}\n}}\n"
    )
}

fn credentials(shows: Shows) -> Option<(&'static str, String)> {
    let value = match shows {
        Shows::Password => basic("ada", "secret"),
        Shows::WrongPassword => basic("ada", "wrong"),
        Shows::UnknownName => basic("eve", "secret"),
        Shows::NotBase64 => "Basic ada:secret".to_owned(),
        Shows::GarbageKey => "Bearer pk-garbage".to_owned(),
        _ => return None,
    };
    Some(("Authorization", value))
}

#[tokio::test]
async fn who_comes_from_nginx_meets_no_other_decisions_than_the_listed() {
    if !programs::are_here(&["nginx"]) {
        return;
    }
    let mut door = Door::open().await;
    let houses = houses();
    let nginx = Nginx::start(&houses, &door.scripted.endpoint(), &door.htpasswd()).await;
    let (mut rows, mut same, mut failures, mut seen) = (0, 0, Vec::new(), BTreeSet::new());
    // No factor in common with the numbers of houses, addresses, credentials and paths.
    let mut thinned = Thinned::every(7);
    for (house, port) in houses.iter().zip(&nginx.ports) {
        door.become_house(house).await;
        let mut other = Connections::to(*port);
        for comes in Comes::ALL {
            for shows in SHOWS {
                for asks in ASKS {
                    if !thinned.takes() {
                        continue;
                    }
                    rows += 1;
                    let portico = door.asks(comes, shows, asks).await.head.status;
                    let (mut headers, body) = request(comes, asks);
                    headers.extend(credentials(shows));
                    let nginx = other.ask(comes, asks, &headers, &body).await.head.status;
                    match Difference::between((house, comes, shows, asks), portico, nginx) {
                        _ if portico == nginx => same += 1,
                        Some(difference) => {
                            seen.insert(difference);
                        }
                        None => failures.push(format!(
                            "{house:?} {comes:?} {shows:?} {asks:?}: Portico {portico}, Nginx {nginx}"
                        )),
                    }
                }
            }
        }
    }
    println!("{rows} rows, {same} of them the same");
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {rows} rows differ:\n{shown}", failures.len());
    assert!(rows > 1000 && same > rows / 2, "{rows} rows, {same} the same");
    assert_eq!(seen, Difference::ALL.into(), "a difference that is listed is one");
}
