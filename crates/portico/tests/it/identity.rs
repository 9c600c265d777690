//! Who may come in: people, keys and sessions, through the real door.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64_simd::STANDARD;
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::portico::Portico;
use testkit::process::Exit;
use testkit::scripted::Scripted;
use testkit::wait;

use crate::command::{Ended, ask, plain_surroundings};
use crate::setup::{CHAT, Setup, assert_error, chat};
use crate::support::binary;

/// Asks for identity on loopback, where local mode would be otherwise.
pub(crate) const ASKS: &str = "[access]\ndeny = [\"203.0.113.0/24\"]\n";
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode_to_string(format!("{name}:{password}")))
}

/// A command of the operator's with something on its standard input.
pub(crate) async fn tell(portico: &Portico, arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--config").arg(portico.configuration_file()).current_dir(portico.folder());
    plain_surroundings(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("started");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("ended")
    });
    let output = output.await.expect("not panicked");
    Ended {
        exit: Exit::Code(output.status.code().expect("an exit code")),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) async fn add(portico: &Portico, name: &str) {
    tell(portico, &["user", "add", name, "--password-stdin"], PASSWORD).await.expect(0);
}

/// A new key of somebody's: its id and itself.
pub(crate) async fn key(portico: &Portico, arguments: &[&str]) -> (String, String) {
    let made = ask(portico, &[&["key", "create", "--json"], arguments].concat()).await.expect(0).json();
    let field = |name: &str| made[name].as_str().expect("a text").to_owned();
    (field("id"), field("key"))
}

async fn models(portico: &Portico, headers: &[(&str, &str)]) -> Answer {
    portico.once("GET", "/v1/models", headers, &[]).await
}

async fn status(portico: &Portico, headers: &[(&str, &str)]) -> u16 {
    models(portico, headers).await.head.status
}

async fn post(portico: &Portico, name: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("Content-Type", "application/json")], headers].concat();
    portico.once("POST", &format!("/account/api/{name}"), &headers, body.to_string().as_bytes()).await
}

/// The cookie that an answer sets, as it is sent back.
fn cookie(answer: &Answer) -> String {
    let line = answer.head.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {}", answer.text()));
    line.split(';').next().unwrap_or_default().to_owned()
}

async fn log_in(portico: &Portico, name: &str, password: &str) -> Answer {
    post(portico, "login", &json!({"name": name, "password": password}), &[]).await
}

pub(crate) async fn session(portico: &Portico, name: &str) -> String {
    let answer = log_in(portico, name, PASSWORD).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    cookie(&answer)
}

async fn house(sections: &str) -> (Portico, Scripted) {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with(sections).start().await;
    (portico, scripted)
}

#[tokio::test]
async fn a_first_start_is_closed_and_its_link_makes_the_first_user() {
    let (portico, _scripted) = house(ASKS).await;
    assert_error(&models(&portico, &[]).await, 401, "authentication_error", "identity_required");
    let link = portico.wait_for_line("stdout", "/setup#").await;
    let token = link.split_once('#').expect("a token").1.trim().to_owned();
    assert!(token.len() >= 22, "128 bits: {token}");
    let setup = async |token: &str, name: &str| {
        let body = json!({"token": token, "name": name, "password": PASSWORD});
        post(&portico, "setup", &body, &[]).await
    };
    assert_error(&setup("AAAAAAAAAAAAAAAAAAAAAA", "eve").await, 410, "not_found_error", "setup_link_invalid");
    assert_error(&setup(&token, "a b").await, 400, "invalid_request_error", "invalid_value");
    let short = json!({"token": token, "name": "boss", "password": "short"});
    assert_error(
        &post(&portico, "setup", &short, &[]).await,
        400,
        "invalid_request_error",
        "password_refused",
    );
    let made = setup(&token, "boss").await;
    assert_eq!(made.head.status, 201, "{}", made.text());
    assert_eq!(made.json()["user"]["role"], "operator");
    assert_eq!(status(&portico, &[("Cookie", &cookie(&made))]).await, 200);
    assert_error(&setup(&token, "eve").await, 410, "not_found_error", "setup_link_invalid");
    assert_eq!(ask(&portico, &["user", "list", "--json"]).await.expect(0).json()[0]["name"], "boss");
}

#[tokio::test]
async fn one_person_has_three_credentials_and_none_reaches_the_model() {
    let (portico, scripted) = house(ASKS).await;
    add(&portico, "ada").await;
    let (id, key) = key(&portico, &["--user", "ada", "--name", "laptop"]).await;
    let (basic, bearer) = (basic("ada", PASSWORD), format!("Bearer {key}"));
    let cookie = session(&portico, "ada").await;
    let ways = [
        [("Authorization", basic.as_str())],
        [("Authorization", bearer.as_str())],
        [("X-Api-Key", key.as_str())],
        [("Cookie", cookie.as_str())],
    ];
    for way in &ways {
        let headers = [&[("Content-Type", "application/json")], &way[..]].concat();
        let body = chat("hello").to_string();
        let answer = portico.once("POST", CHAT, &headers, body.as_bytes()).await;
        assert_eq!(answer.head.status, 200, "{way:?}: {}", answer.text());
    }
    for request in scripted.requests().await {
        let seen = format!("{request:?}");
        for secret in [&basic["Basic ".len()..], &key, cookie.split_once('=').expect("a value").1] {
            assert!(!seen.contains(secret), "{secret} in {seen}");
        }
    }
    let by_key = |line: &Value| line["user"] == "ada" && line["key"] == id.as_str();
    portico.wait_for_record("access.log", "a call with a key", by_key).await;
    let by_name = |line: &Value| line["user"] == "ada" && line["key"].is_null();
    portico.wait_for_record("access.log", "a call without one", by_name).await;
    let log = std::fs::read_to_string(portico.folder().join("access.log")).expect("the log");
    for secret in [PASSWORD, &basic["Basic ".len()..], &key] {
        assert!(!log.contains(secret) && !portico.process().output().contains(secret), "f62: {secret}");
    }

    let two = [("Authorization", bearer.as_str()), ("X-Api-Key", key.as_str())];
    assert_error(&models(&portico, &two).await, 400, "invalid_request_error", "ambiguous_credentials");
    let good_and_bad = [("Authorization", bearer.as_str()), ("Cookie", "portico=nonsense")];
    assert_eq!(status(&portico, &good_and_bad).await, 200, "a header wins over the cookie");
    let bad_and_good = [("Authorization", "Bearer pk-wrong"), ("Cookie", cookie.as_str())];
    assert_error(&models(&portico, &bad_and_good).await, 401, "authentication_error", "invalid_api_key");
}

#[tokio::test]
async fn what_is_taken_away_is_gone_at_once() {
    let (portico, _scripted) = house(ASKS).await;
    add(&portico, "ada").await;
    let (id, key) = key(&portico, &["--user", "ada"]).await;
    let (basic, bearer) = (basic("ada", PASSWORD), format!("Bearer {key}"));
    let cookie = session(&portico, "ada").await;
    for header in [("Authorization", basic.as_str()), ("Authorization", &bearer), ("Cookie", &cookie)] {
        assert_eq!(status(&portico, &[header]).await, 200, "{header:?}");
    }
    ask(&portico, &["user", "disable", "ada"]).await.expect(0);
    for (header, code) in [
        (("Authorization", basic.as_str()), "wrong_credentials"),
        (("Authorization", &bearer), "invalid_api_key"),
        (("Cookie", &cookie), "session_expired"),
    ] {
        assert_error(&models(&portico, &[header]).await, 401, "authentication_error", code);
    }
    ask(&portico, &["user", "enable", "ada"]).await.expect(0);
    assert_eq!(status(&portico, &[("Authorization", &basic)]).await, 200);
    assert_eq!(status(&portico, &[("Cookie", &cookie)]).await, 401, "ended sessions stay ended");

    let cookie = session(&portico, "ada").await;
    tell(&portico, &["user", "passwd", "ada", "--password-stdin"], "another password").await.expect(0);
    assert_eq!(status(&portico, &[("Authorization", &basic)]).await, 401, "f58: what was cached is void");
    assert_eq!(status(&portico, &[("Cookie", &cookie)]).await, 401);
    assert_eq!(status(&portico, &[("Authorization", &bearer)]).await, 200, "a key is no password");

    ask(&portico, &["key", "revoke", &id]).await.expect(0);
    assert_error(
        &models(&portico, &[("Authorization", &bearer)]).await,
        401,
        "authentication_error",
        "key_revoked",
    );
    ask(&portico, &["user", "remove", "ada"]).await.expect(0);
    assert_eq!(ask(&portico, &["key", "list", "--json"]).await.expect(0).json(), json!([]));
    ask(&portico, &["user", "remove", "ada"]).await.expect(1);
}

#[tokio::test]
async fn an_htpasswd_file_is_taken_over_within_a_second() {
    const ADA: &str = "ada:$apr1$s.KKgiaY$57t1yOgZ8Cl5nyRicwuSk1\n";
    const BOB: &str = "bob:$2y$05$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i\n";
    let folder = testkit::temporary::Folder::new();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, format!("{ADA}{BOB}gus:secret\nfay:{{SHA}}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"))
        .expect("written");
    let (portico, _scripted) = house(&format!("[access]\nhtpasswd = {file:?}\n")).await;
    let as_user = async |name: &str| status(&portico, &[("Authorization", &basic(name, "secret"))]).await;
    assert_eq!((as_user("ada").await, as_user("bob").await), (200, 200));
    assert_eq!((as_user("gus").await, as_user("fay").await, as_user("eve").await), (401, 401, 401));
    for name in ["gus", "fay", "ada"] {
        portico.wait_for_line("stderr", &format!("of {name}")).await;
    }
    let session = cookie(&log_in(&portico, "bob", "secret").await);
    assert_eq!(status(&portico, &[("Cookie", &session)]).await, 200);
    // Somebody of the file may have a key.
    let (_, key) = key(&portico, &["--user", "bob"]).await;
    assert_eq!(status(&portico, &[("X-Api-Key", &key)]).await, 200);
    assert_eq!(as_user("bob").await, 200);

    let changed = Instant::now();
    std::fs::write(&file, ADA).expect("written");
    wait::until(Duration::from_secs(1), "bob is out", async || (as_user("bob").await == 401).then_some(()))
        .await;
    assert!(changed.elapsed() < Duration::from_secs(1));
    assert_eq!(status(&portico, &[("Cookie", &session)]).await, 401);
    assert_eq!(as_user("ada").await, 200);
    std::fs::remove_file(&file).expect("removed");
    wait::until(Duration::from_secs(1), "nobody is in", async || (as_user("ada").await == 401).then_some(()))
        .await;
    std::fs::write(&file, format!("{ADA}{BOB}")).expect("written");
    wait::until(Duration::from_secs(1), "both are back", async || {
        (as_user("bob").await == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f59_a_page_of_another_site_acts_for_nobody() {
    let (portico, scripted) = house(ASKS).await;
    add(&portico, "ada").await;
    let cookie = session(&portico, "ada").await;
    let host = format!("127.0.0.1:{}", portico.port(""));
    let own = format!("http://{host}");
    let body = chat("hello").to_string();
    let ask_with = async |more: &[(&str, &str)]| {
        let page = [("Host", host.as_str()), ("Content-Type", "application/json"), ("Cookie", &cookie)];
        let headers = [&page, more].concat();
        portico.once("POST", CHAT, &headers, body.as_bytes()).await
    };
    for fine in [
        &[][..],
        &[("Origin", own.as_str())],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", &own)],
        &[("Sec-Fetch-Site", "none")],
    ] {
        assert_eq!(ask_with(fine).await.head.status, 200, "{fine:?}");
    }
    let before = scripted.requests().await.len();
    for foreign in [
        &[("Origin", "https://evil.example")][..],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", &own)],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "http://127.0.0.1:1")],
    ] {
        assert_error(&ask_with(foreign).await, 403, "permission_error", "origin_refused");
    }
    assert_eq!(scripted.requests().await.len(), before);
    let login = json!({"name": "ada", "password": PASSWORD});
    let refused = post(&portico, "login", &login, &[("Origin", "https://evil.example")]).await;
    assert_error(&refused, 403, "permission_error", "origin_refused");
    // What a form of another site can send without asking first.
    let form = portico.once("POST", "/account/api/login", &[("Content-Type", "text/plain")], b"{}").await;
    assert_error(&form, 415, "invalid_request_error", "unsupported_media_type");
}

#[tokio::test]
async fn f58_who_guesses_is_locked_out_and_keys_and_sessions_go_on() {
    let lockout = "lockout = { failures = 3, window = \"10m\", ban = \"15m\" }\n";
    let (portico, _scripted) = house(&format!("{ASKS}{lockout}")).await;
    add(&portico, "ada").await;
    add(&portico, "bob").await;
    let (_, key) = key(&portico, &["--user", "ada"]).await;
    let cookie = session(&portico, "ada").await;
    for guess in ["one", "two", "three"] {
        let wrong = models(&portico, &[("Authorization", &basic("ada", guess))]).await;
        assert_error(&wrong, 401, "authentication_error", "wrong_credentials");
    }
    let locked = models(&portico, &[("Authorization", &basic("bob", PASSWORD))]).await;
    assert_error(&locked, 429, "rate_limit_error", "too_many_attempts");
    let wait: u64 =
        locked.head.header("retry-after").and_then(|wait| wait.parse().ok()).expect("Retry-After");
    assert!((890..=900).contains(&wait), "{wait}");
    assert_error(&log_in(&portico, "bob", PASSWORD).await, 429, "rate_limit_error", "too_many_attempts");
    let remembered = models(&portico, &[("Authorization", &basic("ada", PASSWORD))]).await;
    assert_eq!(remembered.head.status, 200, "what was right within the last minute is no guess");
    assert_eq!(status(&portico, &[("Authorization", &format!("Bearer {key}"))]).await, 200);
    assert_eq!(status(&portico, &[("Cookie", &cookie)]).await, 200);
    let list = ask(&portico, &["audit", "list", "--json"]).await.expect(0).json();
    let failures = list.as_array().into_iter().flatten().filter(|record| record["action"] == "login.failed");
    assert_eq!(failures.count(), 3);
}

#[tokio::test]
async fn the_api_alone_may_ask_for_identity() {
    let (portico, _scripted) = house(&format!("{ASKS}scope = \"api\"\n")).await;
    add(&portico, "ada").await;
    let page = portico.once("GET", "/", &[("Accept", "text/html")], &[]).await;
    assert_eq!(page.head.status, 200);
    assert_eq!(page.head.header("cache-control"), Some("private, no-cache"), "not for those in deny");
    assert_eq!(status(&portico, &[]).await, 401);
    assert_eq!(portico.once("GET", "/v1/nothing", &[], &[]).await.head.status, 401);
    assert_eq!(status(&portico, &[("Authorization", &basic("ada", PASSWORD))]).await, 200);
}

#[tokio::test]
async fn a_program_is_asked_for_basic_and_the_own_page_is_not() {
    let (portico, _scripted) = house(ASKS).await;
    let asked = models(&portico, &[]).await;
    let offer = "Basic realm=\"Qwen3-VL-8B\", charset=\"UTF-8\"";
    assert_eq!(asked.head.header("www-authenticate"), Some(offer));
    let own = models(&portico, &[("X-Portico-Page", "1")]).await;
    assert_eq!((own.head.status, own.head.header("www-authenticate")), (401, None));
    let (portico, _scripted) = house(&format!("{ASKS}login_page = false\n")).await;
    let page = portico.once("GET", "/", &[("Accept", "text/html")], &[]).await;
    assert_eq!((page.head.status, page.head.header("www-authenticate")), (401, Some(offer)));
}

#[tokio::test]
async fn people_look_after_their_own_password_and_keys() {
    let (portico, _scripted) = house(ASKS).await;
    add(&portico, "ada").await;
    add(&portico, "bob").await;
    let (first, second) = (session(&portico, "ada").await, session(&portico, "ada").await);
    let me = portico.once("GET", "/account/api/me", &[("Cookie", &first)], &[]).await.json();
    assert_eq!((&me["user"]["name"], &me["mode"]), (&json!("ada"), &json!("identity")));
    let as_ada = [("Cookie", first.as_str())];
    let made = post(&portico, "keys", &json!({"name": "phone", "expires": "90d"}), &as_ada).await;
    assert_eq!(made.head.status, 201, "{}", made.text());
    let (id, key) =
        (made.json()["id"].as_str().unwrap().to_owned(), made.json()["key"].as_str().unwrap().to_owned());
    assert_eq!(status(&portico, &[("X-Api-Key", &key)]).await, 200);
    let listed = portico.once("GET", "/account/api/keys", &as_ada, &[]).await;
    assert!(listed.text().contains(&id) && !listed.text().contains(&key), "{}", listed.text());
    // A key opens nothing of the account.
    let by_key = post(&portico, "keys", &json!({"name": "more"}), &[("X-Api-Key", &key)]).await;
    assert_error(&by_key, 401, "authentication_error", "identity_required");
    let bob = session(&portico, "bob").await;
    let foreign = post(&portico, &format!("keys/{id}/revoke"), &json!({}), &[("Cookie", &bob)]).await;
    assert_error(&foreign, 404, "not_found_error", "not_found");

    let rotated = post(&portico, &format!("keys/{id}/rotate"), &json!({}), &as_ada).await;
    assert_eq!(rotated.head.status, 201, "{}", rotated.text());
    let new = rotated.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(
        (status(&portico, &[("X-Api-Key", &key)]).await, status(&portico, &[("X-Api-Key", &new)]).await),
        (200, 200)
    );
    assert_eq!(post(&portico, &format!("keys/{id}/revoke"), &json!({}), &as_ada).await.head.status, 204);
    assert_eq!(
        (status(&portico, &[("X-Api-Key", &key)]).await, status(&portico, &[("X-Api-Key", &new)]).await),
        (401, 200)
    );

    let change = |current: &str, new: &str| json!({"current": current, "new": new});
    let wrong = post(&portico, "password", &change("wrong", "a new password"), &as_ada).await;
    assert_error(&wrong, 401, "authentication_error", "wrong_credentials");
    let short = post(&portico, "password", &change(PASSWORD, "short"), &as_ada).await;
    assert_error(&short, 400, "invalid_request_error", "password_refused");
    let done = post(&portico, "password", &change(PASSWORD, "a new password"), &as_ada).await;
    assert_eq!(done.head.status, 204, "{}", done.text());
    let third = cookie(&done);
    for (session, wanted) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(status(&portico, &[("Cookie", session)]).await, wanted);
    }
    let fourth = cookie(&log_in(&portico, "ada", "a new password").await);
    assert_eq!(post(&portico, "sessions/end", &json!({}), &[("Cookie", &third)]).await.head.status, 204);
    assert_eq!(
        (status(&portico, &[("Cookie", &fourth)]).await, status(&portico, &[("Cookie", &third)]).await),
        (401, 200)
    );
    let out = post(&portico, "logout", &json!({}), &[("Cookie", &third)]).await;
    assert_eq!((out.head.status, status(&portico, &[("Cookie", &third)]).await), (204, 401));
    assert!(out.head.header("set-cookie").is_some_and(|line| line.contains("Max-Age=0")));
    ask(&portico, &["audit", "verify"]).await.expect(0);
}

#[tokio::test]
async fn an_invitation_is_good_once() {
    let (portico, _scripted) = house(ASKS).await;
    let added = ask(&portico, &["user", "add", "ada", "--json"]).await.expect(0).json();
    let link = added["invitation"].as_str().expect("a link");
    assert!(link.contains("/invite#"), "{link}");
    let token = link.split_once('#').expect("a token").1;
    assert_eq!(log_in(&portico, "ada", "").await.head.status, 401, "no password is no empty one");
    let looked = post(&portico, "invitation", &json!({"token": token}), &[]).await;
    assert_eq!(looked.json()["name"], "ada");
    let accept = async |token: &str, password: &str| {
        post(&portico, "invite", &json!({"token": token, "password": password}), &[]).await
    };
    assert_error(&accept(token, "short").await, 400, "invalid_request_error", "password_refused");
    let accepted = accept(token, PASSWORD).await;
    assert_eq!(accepted.head.status, 200, "{}", accepted.text());
    assert_eq!(status(&portico, &[("Cookie", &cookie(&accepted))]).await, 200);
    assert_error(&accept(token, "another password").await, 410, "not_found_error", "invitation_invalid");
    // A later one ends the earlier.
    let link = async || {
        let invited = ask(&portico, &["user", "invite", "ada", "--json"]).await.expect(0).json();
        invited["invitation"].as_str().and_then(|link| link.split_once('#')).expect("a token").1.to_owned()
    };
    let (old, new) = (link().await, link().await);
    assert_eq!(
        (accept(&old, PASSWORD).await.head.status, accept(&new, "another password").await.head.status),
        (410, 200)
    );
}

#[tokio::test]
async fn f27_a_store_that_is_lost_or_damaged_lets_nobody_in() {
    let scripted = Scripted::start().await;
    // Local mode, but for the users that there are.
    let setup = Setup::before(&scripted);
    let portico = setup.start().await;
    assert_eq!(status(&portico, &[]).await, 200, "local mode");
    add(&portico, "ada").await;
    assert_eq!(status(&portico, &[]).await, 401, "there is a user now");
    assert_eq!(status(&portico, &[("Authorization", &basic("ada", PASSWORD))]).await, 200);
    let crashed = portico.crash();
    let database = crashed.folder().join("data/portico.db");
    std::fs::write(&database, "not a database, but something of some length").expect("written");
    let portico = crashed.launch(binary(), &setup.text());
    portico.serves().await;
    assert_eq!(status(&portico, &[]).await, 401, "and not local mode again");
    portico.wait_for_line("stderr", "DAMAGED").await;
    portico.wait_for_line("stdout", "/setup#").await;
    let kept = std::fs::read_dir(portico.folder().join("data")).expect("the folder");
    assert!(kept.flatten().any(|file| file.file_name().to_string_lossy().contains("corrupt")));

    let crashed = portico.crash();
    for file in ["portico.db", "portico.db-wal", "portico.db-shm"] {
        let _ = std::fs::remove_file(crashed.folder().join("data").join(file));
    }
    let portico = crashed.launch(binary(), &setup.text());
    portico.serves().await;
    assert_eq!(status(&portico, &[]).await, 401);
    portico.wait_for_line("stderr", "GONE").await;

    // Whoever opens it first is told, a command too.
    let crashed = portico.crash();
    std::fs::write(crashed.folder().join("data/portico.db"), "damaged once more, and not by little")
        .expect("written");
    let file = crashed.folder().join("portico.toml");
    let arguments = ["user", "list", "--config", &file.to_string_lossy()];
    let said = crate::command::portico(crashed.folder(), &arguments).await.expect(0);
    assert!(said.stderr.contains("DAMAGED"), "{}", said.stderr);
}

#[tokio::test]
async fn a_missing_htpasswd_file_stops_the_start() {
    let text = Setup::new().with("[access]\nhtpasswd = \"/nowhere/htpasswd\"\n").text();
    let portico = Portico::launch(binary(), &text, |_| {});
    assert_eq!(portico.process().wait(Duration::from_secs(20)).await, Exit::Code(2));
    assert!(portico.process().stderr().contains("/nowhere/htpasswd"), "{}", portico.process().output());
}

#[tokio::test]
async fn keys_are_bound_to_models_networks_and_time() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .model("other", &[&scripted.endpoint()], "upstream_name = \"scripted-model\"")
        .with(ASKS)
        .start()
        .await;
    add(&portico, "ada").await;
    let (_, narrow) = key(&portico, &["--user", "ada", "--models", "other"]).await;
    let listed = models(&portico, &[("X-Api-Key", &narrow)]).await.json();
    let names: Vec<_> = listed["data"].as_array().into_iter().flatten().map(|model| &model["id"]).collect();
    assert_eq!(names, [&json!("other")]);
    let headers = [("Content-Type", "application/json"), ("X-Api-Key", narrow.as_str())];
    let refused = portico.once("POST", CHAT, &headers, chat("hello").to_string().as_bytes()).await;
    assert_error(&refused, 403, "permission_error", "model_not_allowed");
    let mut call = chat("hello");
    call["model"] = json!("other");
    assert_eq!(portico.once("POST", CHAT, &headers, call.to_string().as_bytes()).await.head.status, 200);

    let (_, elsewhere) = key(&portico, &["--user", "ada", "--networks", "10.0.0.0/8,192.0.2.7"]).await;
    assert_error(
        &models(&portico, &[("X-Api-Key", &elsewhere)]).await,
        403,
        "permission_error",
        "network_refused",
    );
    let (_, here) = key(&portico, &["--user", "ada", "--networks", "127.0.0.0/8"]).await;
    assert_eq!(status(&portico, &[("X-Api-Key", &here)]).await, 200);
    let (_, short) = key(&portico, &["--user", "ada", "--expires", "1s"]).await;
    wait::until(Duration::from_secs(3), "the key expires", async || {
        let answer = models(&portico, &[("X-Api-Key", &short)]).await;
        (answer.head.status == 401 && answer.text().contains("key_expired")).then_some(())
    })
    .await;
    let used = |list: &Value| {
        list.as_array().into_iter().flatten().filter(|key| key["last_used"].is_string()).count()
    };
    assert!(used(&ask(&portico, &["key", "list", "--json"]).await.expect(0).json()) >= 2);
}

#[tokio::test]
async fn pages_of_named_sites_may_read_every_answer_of_the_api() {
    const ORIGIN: &str = "https://admin.example.com";
    let cors = format!(
        "{ASKS}[cors]\norigins = [\"{ORIGIN}\", \"https://two.example.com\"]\n[limits]\nbody = \"1MiB\"\n"
    );
    let (portico, _scripted) = house(&cors).await;
    add(&portico, "ada").await;
    let allowed = basic("ada", PASSWORD);
    let origin = ("Origin", ORIGIN);
    let preflight = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization, x-stainless-lang"),
    ];
    let granted = portico.once("OPTIONS", CHAT, &preflight, &[]).await;
    assert_eq!(granted.head.status, 204, "before identity: {}", granted.text());
    let list = granted.head.header("access-control-allow-headers").expect("headers").to_ascii_lowercase();
    assert!(list.contains("authorization") && list.contains("x-stainless-lang"), "{list}");
    assert_eq!(granted.head.header("access-control-max-age"), Some("17280000"));
    let denied = [("Origin", "https://evil.example"), preflight[1]];
    assert_error(
        &portico.once("OPTIONS", CHAT, &denied, &[]).await,
        403,
        "permission_error",
        "origin_refused",
    );

    let large = vec![b'x'; (1 << 20) + 1];
    let json_type = ("Content-Type", "application/json");
    let answers = [
        (200, models(&portico, &[origin, ("Authorization", &allowed)]).await),
        (401, models(&portico, &[origin]).await),
        (421, models(&portico, &[origin, ("Host", "elsewhere.example")]).await),
        (404, portico.once("GET", "/v1/nothing", &[origin, ("Authorization", &allowed)], &[]).await),
        (413, portico.once("POST", CHAT, &[origin, json_type, ("Authorization", &allowed)], &large).await),
        (
            502,
            portico
                .once(
                    "POST",
                    CHAT,
                    &[origin, json_type, ("Authorization", &allowed)],
                    chat("fault:garbage").to_string().as_bytes(),
                )
                .await,
        ),
    ];
    for (status, answer) in answers {
        assert_eq!(answer.head.status, status, "{}", answer.text());
        assert_eq!(answer.head.headers("access-control-allow-origin"), [ORIGIN], "{status}");
        assert!(
            answer.head.headers("vary").iter().any(|vary| vary.eq_ignore_ascii_case("origin")),
            "{status}"
        );
        assert!(answer.head.header("access-control-allow-credentials").is_none());
    }
    let other = models(&portico, &[("Origin", "https://evil.example"), ("Authorization", &allowed)]).await;
    assert_eq!((other.head.status, other.head.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn explain_says_what_the_door_does() {
    let (portico, _scripted) = house("[access]\nallow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.66\"]\n").await;
    add(&portico, "ada").await;
    let (id, key) = key(&portico, &["--user", "ada"]).await;
    for (arguments, code, line) in [
        (&["--ip", "127.0.0.66"][..], 1, "access.deny: 127.0.0.66/32"),
        (&["--ip", "10.0.0.1"], 1, "access.allow: no network"),
        (&["--ip", "::ffff:127.0.0.1"], 1, "access.scope = \"site\""),
        (&["--ip", "127.0.0.1", "--user", "ada"], 0, "user ada"),
        (&["--ip", "127.0.0.1", "--user", "eve"], 1, "there is no user eve"),
        (&["--ip", "127.0.0.1", "--key", &id], 0, "of ada"),
        (&["--ip", "127.0.0.1", "--key", &key], 0, "of ada"),
        (&["--ip", "127.0.0.1", "--key", "pk-x"], 1, "has not the form"),
        (&["--ip", "10.0.0.1", "--path", "/health", "--method", "GET"], 0, "open to everybody"),
    ] {
        let said = ask(&portico, &[&["access", "explain"], arguments].concat()).await.expect(code);
        assert!(said.stdout.contains(line), "{arguments:?}: {}", said.stdout);
    }
    ask(&portico, &["access", "explain", "--ip", "nonsense"]).await.expect(2);
}

#[tokio::test]
async fn a_store_is_worked_on_while_nobody_runs() {
    let scripted = Scripted::start().await;
    let setup = Setup::before(&scripted).with(ASKS);
    let crashed = setup.start().await.crash();
    // The command opens the store itself.
    let portico = crashed.launch(binary(), &setup.text());
    portico.serves().await;
    add(&portico, "ada").await;
    let crashed = portico.crash();
    let file = crashed.folder().join("portico.toml");
    let file = file.to_string_lossy();
    let made = crate::command::portico(
        crashed.folder(),
        &["key", "create", "--user", "ada", "--json", "--config", &file],
    )
    .await
    .expect(0)
    .json();
    let listed =
        crate::command::portico(crashed.folder(), &["user", "list", "--config", &file]).await.expect(0);
    assert!(listed.stdout.contains("ada"), "{}", listed.stdout);
    let portico = crashed.launch(binary(), &setup.text());
    portico.serves().await;
    assert_eq!(status(&portico, &[("X-Api-Key", made["key"].as_str().expect("a key"))]).await, 200);
}

#[tokio::test]
async fn a_backup_brings_back_what_it_held_and_says_who_came_back_to_life() {
    let scripted = Scripted::start().await;
    let setup = Setup::before(&scripted).with(ASKS);
    let portico = setup.start().await;
    add(&portico, "ada").await;
    add(&portico, "bob").await;
    let (id, key) = key(&portico, &["--user", "ada"]).await;
    let cookie = session(&portico, "ada").await;
    let passphrase = portico.folder().join("passphrase");
    std::fs::write(&passphrase, "a passphrase of some length\n").expect("written");
    let arguments = ["backup", "kept.portico", "--passphrase-file", "passphrase"];
    let open = ask(&portico, &arguments).await.expect(2);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&passphrase, private).expect("chmod");
    ask(&portico, &arguments).await.expect(0);
    let restoring = ["restore", "kept.portico", "--passphrase-file", "passphrase"];
    let busy = ask(&portico, &restoring).await.expect(1);
    assert!(busy.stderr.contains("portico stop"), "{}", busy.stderr);

    ask(&portico, &["key", "revoke", &id]).await.expect(0);
    ask(&portico, &["user", "remove", "bob"]).await.expect(0);
    add(&portico, "eve").await;
    let crashed = portico.crash();
    let file = crashed.folder().join("portico.toml");
    let file = file.to_string_lossy().into_owned();
    let alone = async |arguments: &[&str]| {
        crate::command::portico(crashed.folder(), &[arguments, &["--config", &file]].concat()).await
    };
    std::fs::write(crashed.folder().join("wrong"), "another passphrase").expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(crashed.folder().join("wrong"), private).expect("chmod");
    alone(&["restore", "kept.portico", "--passphrase-file", "wrong"]).await.expect(1);
    let said = alone(&restoring).await.expect(0).stdout;
    for line in [
        format!("the key {id} of ada, which was revoked"),
        "the user bob, who was removed".to_owned(),
        "lost: the user eve".to_owned(),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
    let portico = crashed.launch(binary(), &setup.text());
    portico.serves().await;
    assert_eq!(status(&portico, &[("X-Api-Key", &key)]).await, 200);
    assert_eq!(status(&portico, &[("Authorization", &basic("bob", PASSWORD))]).await, 200);
    assert_eq!(status(&portico, &[("Cookie", &cookie)]).await, 401, "nobody is logged in by a restore");
    ask(&portico, &["audit", "verify"]).await.expect(0);
}
