//! Certificates from a real authority: got, renewed, and lived without.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant, SystemTime};

use testkit::acme::{Fault, Renewal, Resource, RetryAfter};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait;

use crate::authority::{ISSUED, NAME, Site, files, renew, serial, status};
use crate::command::ask;
use crate::support::binary;

#[tokio::test]
async fn from_nothing_to_a_certificate_by_each_challenge() {
    for challenge in ["http-01", "tls-alpn-01", "auto"] {
        let Some(site) = Site::new(|_| {}).await else { return };
        let began = Instant::now();
        let portico = site.portico(&format!("challenge = \"{challenge}\"")).await;
        site.serves_signed(&portico).await;
        eprintln!("{challenge}: served after {:?}", began.elapsed());
        let status = settled(&portico).await;
        let wanted = if challenge == "auto" { "tls-alpn-01" } else { challenge };
        assert_eq!((&status["state"], &status["challenge"]), (&"valid".into(), &wanted.into()), "{status:#}");
        assert_eq!(status["names"], serde_json::json!([NAME]));
        assert!(status["next"]["why"]["zh"].as_str().is_some_and(|why| !why.is_empty()), "{status:#}");
        // Keys and account are their owner's alone.
        for path in files(&portico.folder().join("data/certificates")).keys() {
            let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{path}");
        }
        assert_eq!(portico.stop(Duration::from_secs(10)).await, testkit::process::Exit::Code(0));
    }
}

#[tokio::test]
async fn auto_falls_back_and_remembers() {
    // Nobody is where the authority looks for TLS.
    let Some(site) = Site::new(|options| options.tls_port = testkit::net::free_port()).await else { return };
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    assert_eq!(status(&portico).await["challenge"], "http-01");
    assert_eq!(site.shim.count(Resource::NewOrder), 2, "one for each challenge");
    renew(&portico, &[]).await.expect(0);
    assert_eq!(site.shim.count(Resource::NewOrder), 3, "the one that worked is tried first");
}

#[tokio::test]
async fn external_accounts_and_profiles() {
    let Some(site) = Site::new(|options| options.eab = true).await else { return };
    site.shim.set_profiles(&[("classic", "ninety days"), ("shortlived", "six days")]);
    let key = site.pebble.folder().join("eab.key");
    std::fs::write(&key, site.pebble.eab_hmac_base64url()).unwrap();
    let eab = format!("eab = {{ kid = \"{}\", hmac_file = \"{}\" }}", site.pebble.eab_kid(), key.display());
    let portico = site.portico(&format!("{eab}\nprofile = \"shortlived\"")).await;
    site.serves_signed(&portico).await;
    let order = site.shim.requests_for(Resource::NewOrder).remove(0);
    assert_eq!(order.payload["profile"], "shortlived");
    drop(portico);
    let portico = site.portico(&format!("{eab}\nprofile = \"tlsserver\"")).await;
    let error = last_error(&portico, "profile").await;
    let said = error["said"]["en"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains("tlsserver") && said.contains("classic, shortlived"), "{said}");
}

/// The status, once everything is written down and the next renewal is known.
async fn settled(portico: &Portico) -> serde_json::Value {
    wait::until(ISSUED, "the next renewal is known", async || {
        let status = status(portico).await;
        (status["path"].is_string() && status["next"].is_object()).then_some(status)
    })
    .await
}

/// The stored error, once it is of this kind.
async fn last_error(portico: &Portico, kind: &str) -> serde_json::Value {
    wait::until(ISSUED, &format!("an order failed with {kind}"), async || {
        let error = status(portico).await["last_error"].clone();
        (error["kind"] == kind).then_some(error)
    })
    .await
}

#[tokio::test]
async fn twenty_renewals_while_every_second_nonce_is_refused() {
    let Some(site) = Site::new(|options| options.nonce_reject_percent = 50).await else { return };
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    let mut serials = vec![serial(&portico).await];
    for _ in 0..20 {
        renew(&portico, &[]).await.expect(0);
        serials.push(serial(&portico).await);
    }
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 21);
    assert_eq!(site.shim.count(Resource::NewAccount), site.shim.requests_for(Resource::NewAccount).len());
}

#[tokio::test]
async fn a_hundred_streams_outlive_renewals() {
    let Some(site) = Site::new(|_| {}).await else { return };
    let scripted = Scripted::start().await;
    let model = format!(
        "[[model]]\nname = \"scripted\"\nengine = \"external\"\nupstream_name = \"scripted-model\"\nendpoints = [\"{}\"]\n\
         [plan.default]\nconcurrent = 1000\n[queue]\nmax_running = 1000\n",
        scripted.endpoint()
    );
    let portico = site.start(&site.configuration(&[NAME], "", &model)).await;
    site.serves_signed(&portico).await;
    let root = site.pebble.root_pem().await;
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (address, root) = (site.address(), root.clone());
        streams.spawn(async move {
            let mut connection = testkit::tls::connect(address, NAME, &root).await.unwrap();
            let mut call = crate::setup::stream("fault:slow-stream 60 100ms");
            call["max_tokens"] = 40.into();
            let body = call.to_string();
            let headers = [("Host", NAME), ("Content-Type", "application/json")];
            connection.request("POST", crate::setup::CHAT, &headers, body.as_bytes()).await.unwrap();
            let head = connection.head().await.unwrap();
            assert_eq!(head.status, 200);
            let mut events = 0;
            while let Some(event) = connection.event().await.unwrap() {
                events += 1;
                if event.contains("[DONE]") {
                    return events;
                }
            }
            panic!("a stream was cut after {events} events");
        });
    }
    let before = serial(&portico).await;
    for _ in 0..3 {
        renew(&portico, &[]).await.expect(0);
    }
    assert_ne!(serial(&portico).await, before);
    while let Some(ended) = streams.join_next().await {
        assert!(ended.unwrap() > 2);
    }
}

#[tokio::test]
async fn the_authority_s_window_is_followed_and_named() {
    let Some(site) = Site::new(|options| options.validity_seconds = Some(10 * 24 * 3600)).await else {
        return;
    };
    let now = SystemTime::now();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    site.shim.set_renewal(Some(Renewal::between(now + hours(24), now + hours(48))));
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    let next = wait::until(ISSUED, "the window is known", async || {
        let next = status(&portico).await["next"].clone();
        next["why"]["en"].as_str().is_some_and(|why| why.contains("suggests")).then_some(next)
    })
    .await;
    let at: jiff::Timestamp = next["at"].as_str().unwrap().parse().unwrap();
    let from_now = at.as_second() - jiff::Timestamp::now().as_second();
    assert!((23 * 3600..=48 * 3600).contains(&from_now), "{next}");
    drop(portico);
    // A window that is over already, for a certificate of two minutes, which is left alone for twelve seconds.
    drop(site);
    let Some(site) = Site::new(|options| options.validity_seconds = Some(120)).await else { return };
    site.shim.set_renewal(Some(Renewal::between(now + hours(24), now + hours(48))));
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    let before = settled(&portico).await["certificate"]["serial"].clone();
    let id = site.shim.renewal_queries().first().cloned().expect("it was asked");
    site.shim.set_renewal_of(&id, Renewal::between(now - hours(2), now - hours(1)));
    forget_when_asked(&portico);
    let portico = portico.crash_and_launch(binary(), &site.configuration(&[NAME], "", ""));
    portico.serves().await;
    wait::until(ISSUED, "it was renewed within its window", async || {
        (status(&portico).await["certificate"]["serial"] != before).then_some(())
    })
    .await;
    let order = site.shim.requests_for(Resource::NewOrder).pop().expect("an order");
    assert_eq!(order.payload["replaces"], id.as_str());
}

/// As if the last question lay half a day back.
fn forget_when_asked(portico: &Portico) {
    for (path, content) in files(&portico.folder().join("data/certificates")) {
        if path.ends_with("journal.json") {
            let mut journal: serde_json::Value = serde_json::from_slice(&content).unwrap();
            journal["renewal"]["ask_again"] = serde_json::Value::Null;
            std::fs::write(path, journal.to_string()).unwrap();
        }
    }
}

#[tokio::test]
async fn short_certificates_are_renewed_again_and_again() {
    let Some(site) = Site::new(|options| options.validity_seconds = Some(16)).await else { return };
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    let mut serials = vec![serial(&portico).await];
    wait::until(Duration::from_secs(60), "three certificates of sixteen seconds", async || {
        let now = serial(&portico).await;
        if serials.last() != Some(&now) {
            serials.push(now);
        }
        assert!(site.get("/health").await.is_ok(), "a valid one is always served");
        (serials.len() == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f16_a_limit_of_the_authority_is_kept_over_restarts() {
    let Some(site) = Site::new(|_| {}).await else { return };
    site.shim.fail(&[Resource::NewOrder], Fault::rate_limited(RetryAfter::Seconds(7200)));
    let portico = site.portico("").await;
    let error = last_error(&portico, "rateLimited").await;
    assert!(error["said"]["en"].as_str().unwrap().contains("too many certificates (5)"), "{error:#}");
    let next: jiff::Timestamp = status(&portico).await["next"]["at"].as_str().unwrap().parse().unwrap();
    let wait = next.as_second() - jiff::Timestamp::now().as_second();
    assert!((7100..=7201).contains(&wait), "{wait}");
    assert_eq!(site.shim.count(Resource::NewOrder), 1);
    let portico = portico.crash_and_launch(binary(), &site.configuration(&[NAME], "", ""));
    portico.serves().await;
    let again = status(&portico).await;
    assert_eq!((&again["state"], &again["last_error"]["kind"]), (&"stand_in".into(), &"rateLimited".into()));
    assert_eq!(site.shim.count(Resource::NewOrder), 1, "the restart asks no sooner");
    // The operator may.
    site.shim.clear_faults();
    renew(&portico, &[]).await.expect(0);
    site.serves_signed(&portico).await;
    assert_eq!(status(&portico).await["last_error"], serde_json::Value::Null);
}

#[tokio::test]
async fn f15_whatever_the_authority_does_the_old_certificate_is_served() {
    let Some(mut site) = Site::new(|_| {}).await else { return };
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    let before = serial(&portico).await;
    let root = site.pebble.root_pem().await;
    let faults = [
        (Fault::Page { status: 500, retry_after: None }, "broken"),
        (Fault::Page { status: 503, retry_after: Some(RetryAfter::Seconds(60)) }, "broken"),
        (Fault::Close, "unreachable"),
        (Fault::Padded { bytes: 50 << 20 }, "broken"),
    ];
    for (fault, kind) in faults {
        site.shim.fail(Resource::ALL, fault.clone());
        let refused = renew(&portico, &["--json"]).await.expect(1).json();
        assert_eq!(refused["error"]["kind"], kind, "{fault:?}: {refused:#}");
        site.shim.clear_faults();
    }
    // Nobody is there at all.
    site.pebble.stop();
    renew(&portico, &[]).await.expect(1);
    let said = renew(&portico, &[]).await.expect(1).stderr;
    assert!(said.contains("no certificate was signed"), "{said}");
    let served = async || testkit::tls::connect(site.address(), NAME, &root).await.is_ok();
    assert!(served().await);
    let now = status(&portico).await;
    assert_eq!((&now["state"], &now["certificate"]["serial"]), (&"valid".into(), &before.as_str().into()));
    let told =
        portico.log_lines("stderr").iter().filter(|line| line.contains("no certificate was signed")).count();
    assert!(told <= 5, "each kind of failure is said once: {}", portico.process().stderr());
    // It comes back, and knows nobody any more: another account is made.
    site.pebble.restart().await;
    renew(&portico, &[]).await.expect(0);
    site.serves_signed(&portico).await;
    assert_eq!(site.shim.count(Resource::NewAccount), 2);
}

#[tokio::test]
async fn f18_a_refusal_is_shown_in_the_authority_s_words_and_explained() {
    let Some(site) = Site::new(|options| {
        (options.http_port, options.tls_port) = (testkit::net::free_port(), testkit::net::free_port())
    })
    .await
    else {
        return;
    };
    // By its address, which needs no name server to be looked at from here.
    let portico = site.start(&site.configuration(&[], "", "")).await;
    let error = last_error(&portico, "connection").await;
    let said = error["said"]["en"].as_str().unwrap();
    assert!(
        said.starts_with("http-01: 127.0.0.1: ") && said.contains("; tls-alpn-01: 127.0.0.1: "),
        "{error:#}"
    );
    assert!(error["explanation"]["zh"].as_str().is_some(), "{error:#}");
    let shown = ask(&portico, &["cert", "status"]).await.expect(1).stdout;
    assert!(shown.contains("self-signed stand-in") && shown.contains("[connection]"), "{shown}");
    // A name that the authority does not sign for.
    drop(portico);
    let Some(site) = Site::new(|options| options.blocked_names = vec!["blocked.test".to_owned()]).await
    else {
        return;
    };
    let portico = site.start(&site.configuration(&["blocked.test"], "", "")).await;
    last_error(&portico, "rejectedIdentifier").await;
}

#[tokio::test]
async fn a_dry_run_goes_the_whole_way_and_changes_nothing() {
    let Some(site) = Site::new(|_| {}).await else { return };
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    settled(&portico).await;
    let (before, folder) = (serial(&portico).await, portico.folder().join("data"));
    let kept = files(&folder);
    let said = renew(&portico, &["--dry-run"]).await.expect(0).stdout;
    assert!(said.contains("Nothing was changed"), "{said}");
    assert_eq!(site.shim.count(Resource::Finalize), 2, "the order was brought to its end");
    assert_eq!(site.shim.count(Resource::NewAccount), 1, "by the account that is there");
    assert_eq!(serial(&portico).await, before);
    assert_eq!(files(&folder), kept);
    site.shim.fail(&[Resource::NewOrder], Fault::rate_limited(RetryAfter::Seconds(7200)));
    let failed = renew(&portico, &["--dry-run", "--json"]).await.expect(1).json();
    assert_eq!(failed["error"]["kind"], "rateLimited");
    assert_eq!(files(&folder), kept, "not even the failure is written down");
}

#[tokio::test]
async fn while_nobody_runs_the_command_answers_for_itself() {
    let Some(site) = Site::new(|_| {}).await else { return };
    for challenge in ["http-01", "tls-alpn-01"] {
        let configuration = site.configuration(&[NAME], &format!("challenge = \"{challenge}\""), "");
        let portico = site.start(&configuration).await;
        let (folder, file) = (portico.folder().to_owned(), portico.configuration_file());
        portico.stop(Duration::from_secs(10)).await;
        let kept = files(&folder.join("data/certificates"));
        let ask = async |more: &str| {
            let file = file.to_string_lossy();
            crate::command::portico(&folder, &["cert", "renew", more, "--json", "--config", &file]).await
        };
        let tried = ask("--dry-run").await.expect(0).json();
        assert_eq!((&tried["challenge"], &tried["renewed"]), (&challenge.into(), &false.into()));
        assert_eq!(files(&folder.join("data/certificates")), kept);
    }
}

#[tokio::test]
async fn f23_two_processes_with_one_folder_order_once() {
    let Some(site) = Site::new(|_| {}).await else { return };
    // The second waits in the authority's queue while the first orders.
    site.shim.fail_next(Resource::NewOrder, 1, Fault::Slow(Duration::from_secs(2)));
    let portico = site.portico("").await;
    let shared = portico.folder().join("data").display().to_string();
    let other = site
        .configuration(&[NAME], "", "")
        .replace("{folder}/data", &shared)
        .replace("{port}", "{port:other}")
        .replace("{port:https}", "{port:other-https}")
        .replace("[access]", "[access]\nrealm = \"{port}\"");
    let other = Portico::launch_at(binary(), &other, &[], |_| {});
    site.serves_signed(&portico).await;
    let first = serial(&portico).await;
    wait::until(ISSUED, "the other serves the same certificate", async || {
        (serial(&other).await == first).then_some(())
    })
    .await;
    assert_eq!(site.shim.count(Resource::NewOrder), 1);
}

#[tokio::test]
async fn f28_a_crash_at_any_moment_leaves_something_to_go_on_with() {
    let Some(site) = Site::new(|_| {}).await else { return };
    let configuration = site.configuration(&[NAME], "", "");
    let mut portico = site.start(&configuration).await;
    site.serves_signed(&portico).await;
    let mut last = serial(&portico).await;
    for round in 0..12_u64 {
        let file = portico.configuration_file();
        let socket = portico.folder().to_owned();
        let renewing = tokio::spawn(async move {
            crate::command::portico(&socket, &["cert", "renew", "--config", &file.to_string_lossy()]).await
        });
        // Over the time that an order takes, from its first request to its last write.
        tokio::time::sleep(Duration::from_millis(round * 23)).await;
        let crashed = portico.crash();
        // Where it met nobody, it orders by itself, and answers the challenges on Portico's own ports.
        let _ = renewing.await;
        portico = crashed.launch(binary(), &configuration);
        portico.serves().await;
        assert!(site.get("/health").await.is_ok(), "round {round}: a signed certificate is served at once");
        for (path, content) in files(&portico.folder().join("data/certificates")) {
            if path.ends_with(".json") {
                serde_json::from_slice::<serde_json::Value>(&content)
                    .unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        }
        renew(&portico, &[]).await.expect(0);
        let now = serial(&portico).await;
        assert_ne!(now, last, "round {round}");
        last = now;
    }
}

#[tokio::test]
async fn f20_an_expired_certificate_is_served_and_replaced_at_once() {
    let Some(site) = Site::new(|options| options.validity_seconds = Some(2)).await else { return };
    let configuration = site.configuration(&[NAME], "", "");
    let portico = site.start(&configuration).await;
    wait::until(ISSUED, "a certificate of two seconds", async || {
        (status(&portico).await["path"].is_string()).then_some(())
    })
    .await;
    let old = serial(&portico).await;
    site.shim.fail(Resource::ALL, Fault::Page { status: 503, retry_after: None });
    let portico = portico.crash_and_launch(binary(), &configuration);
    portico.serves().await;
    wait::until(ISSUED, "it has expired", async || {
        (status(&portico).await["state"] == "expired").then_some(())
    })
    .await;
    let line = portico.wait_for_line("stderr", "EXPIRED").await;
    assert!(line.contains("ERROR"), "{line}");
    site.shim.clear_faults();
    renew(&portico, &[]).await.expect(0);
    assert_ne!(serial(&portico).await, old);
}

/// The order of the calls that put a file in its place, as the kernel saw them: content synced, renamed, folder synced.
#[tokio::test]
async fn f28_every_file_is_synced_before_it_is_renamed_and_its_folder_after() {
    let Some(site) = Site::new(|_| {}).await else { return };
    if !testkit::programs::are_here(&["strace"]) || !rustix::process::geteuid().is_root() {
        return;
    }
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    settled(&portico).await;
    let trace = portico.folder().join("trace");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-y", "-s", "0", "-e", "trace=write,fsync,rename,renameat,renameat2", "-o"]);
    strace.arg(&trace).args(["-p", &portico.process().id().to_string()]);
    let strace = testkit::process::Process::start(strace, "strace", portico.folder());
    wait::until(wait::SOON, "strace is attached", async || {
        strace.stderr().contains("attached").then_some(())
    })
    .await;
    renew(&portico, &[]).await.expect(0);
    settled(&portico).await;
    strace.stop(Duration::from_secs(10)).await;
    let text = std::fs::read_to_string(&trace).unwrap();
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("data/certificates")).collect();
    let renames: Vec<usize> = (0..calls.len())
        .filter(|at| calls[*at].contains("rename") && calls[*at].contains(".tmp\""))
        .collect();
    // The journal twice, the counters twice or more, the order and the pair.
    assert!(renames.len() >= 4, "{text}");
    assert!(renames.iter().any(|at| calls[*at].contains("pair.pem")), "{text}");
    for at in renames {
        let temporary = calls[at].split('"').nth(1).unwrap();
        let synced = calls[..at].iter().rposition(|call| call.contains("fsync(") && call.contains(temporary));
        let written =
            calls[..at].iter().rposition(|call| call.contains("write(") && call.contains(temporary));
        assert!(written.is_some() && written < synced, "{temporary}: {}", calls[..=at].join("\n"));
        let folder = std::path::Path::new(temporary).parent().unwrap().display().to_string();
        let next = calls.get(at + 1).copied().unwrap_or_default();
        assert!(next.contains("fsync(") && next.contains(&format!("<{folder}>")), "{temporary}: {next}");
    }
}

/// On a disk of its own, so small that it can be filled.
#[tokio::test]
async fn f26_a_full_disk_costs_neither_the_certificate_nor_an_order() {
    let Some(site) = Site::new(|_| {}).await else { return };
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount a small disk");
        return;
    }
    let disk = testkit::temporary::Folder::new();
    let mount = |program: &str, arguments: &[&str]| {
        let status = std::process::Command::new(program).args(arguments).arg(disk.path()).status().unwrap();
        assert!(status.success(), "{program}");
    };
    mount("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs"]);
    let configuration = site
        .configuration(&[NAME], "", "")
        .replace("{folder}/data", &disk.path().join("data").display().to_string());
    let portico = site.start(&configuration).await;
    site.serves_signed(&portico).await;
    settled(&portico).await;
    let before = serial(&portico).await;
    let filler = disk.path().join("filler");
    let fill = || {
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    };
    fill();
    site.shim.forget_requests();
    let refused = renew(&portico, &["--json"]).await.expect(1).json();
    assert_eq!(refused["error"]["kind"], "disk", "{refused:#}");
    assert_eq!(site.shim.count(Resource::NewOrder), 0, "the authority is not troubled");
    assert_eq!(serial(&portico).await, before);
    assert!(site.get("/health").await.is_ok());
    std::fs::remove_file(&filler).unwrap();
    // Full while the order is under way: what was signed is served, and written down when there is room.
    site.shim.fail_next(Resource::Certificate, 1, Fault::Slow(Duration::from_secs(2)));
    let renewing = renew(&portico, &[]);
    let filling = async {
        wait::until(ISSUED, "the certificate is being fetched", async || {
            (site.shim.count(Resource::Certificate) > 0).then_some(())
        })
        .await;
        fill();
    };
    let (renewed, ()) = tokio::join!(renewing, filling);
    renewed.expect(0);
    let after = serial(&portico).await;
    assert_ne!(after, before);
    portico.wait_for_line("stderr", "can't be written yet").await;
    std::fs::remove_file(&filler).unwrap();
    portico.wait_for_line("stderr", "is on disk now").await;
    let portico = portico.crash_and_launch(binary(), &configuration);
    portico.serves().await;
    assert_eq!(serial(&portico).await, after, "and it is there after a restart");
    drop(portico);
    mount("umount", &[]);
}

#[tokio::test]
async fn mozilla_s_intermediate_profile_is_met() {
    let Some(site) = Site::new(|options| options.validity_seconds = Some(90 * 24 * 3600)).await else {
        return;
    };
    let mut scan = testkit::programs::sslyze();
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    scan.args(["--mozilla_config=intermediate", "--sni", NAME, &site.address().to_string()]);
    let folder = testkit::temporary::Folder::new();
    let scan = testkit::process::Process::start(scan, "sslyze", folder.path());
    scan.wait(Duration::from_secs(100)).await;
    let report = scan.stdout();
    let complaints: Vec<&str> = report.lines().filter_map(|line| line.trim().strip_prefix("* ")).collect();
    let about_compliance = report.split("COMPLIANCE AGAINST").nth(1).unwrap_or_default();
    let complaints = complaints.into_iter().filter(|complaint| about_compliance.contains(complaint));
    let complaints: Vec<_> =
        complaints.filter(|line| !line.starts_with("certificate_path_validation")).collect();
    assert!(about_compliance.contains("Not compliant") || about_compliance.contains("OK"), "{report}");
    assert!(complaints.is_empty(), "more than the authority of a test: {complaints:?}\n{report}");
}

/// Takes some minutes; part of `./test --full`.
#[tokio::test]
#[ignore = "takes minutes: ./test --full"]
async fn testssl_finds_nothing_above_low() {
    let Some(site) = Site::new(|options| options.validity_seconds = Some(90 * 24 * 3600)).await else {
        return;
    };
    let portico = site.portico("").await;
    site.serves_signed(&portico).await;
    let report = portico.folder().join("testssl.json");
    let mut scan = std::process::Command::new("testssl");
    scan.args(["--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1", "--jsonfile"]);
    scan.arg(&report).arg(format!("{NAME}:{}", site.https));
    let scan = testkit::process::Process::start(scan, "testssl", portico.folder());
    scan.wait(Duration::from_secs(900)).await;
    let findings: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(&report).unwrap())
        .unwrap_or_else(|error| {
            panic!("{error}: {}", scan.stdout());
        });
    assert!(findings.len() > 50, "{findings:#?}");
    let grave: Vec<_> = findings
        .iter()
        .filter(|finding| {
            matches!(finding["severity"].as_str(), Some("MEDIUM" | "HIGH" | "CRITICAL" | "FATAL"))
        })
        .map(|finding| format!("{} {} {}", finding["id"], finding["severity"], finding["finding"]))
        .collect();
    let private = ["cert_chain_of_trust", "cert_revocation", "cert_crlDistributionPoints", "cert_ocspURL"];
    let grave: Vec<_> =
        grave.into_iter().filter(|line| !private.iter().any(|id| line.contains(id))).collect();
    assert!(grave.is_empty(), "{grave:#?}");
}
