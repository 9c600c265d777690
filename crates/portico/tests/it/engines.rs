//! What depends on the program behind the door: its version's known holes, the salt of its cache, the room in its
//! context.

use serde_json::{Value, json};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::command::ask;
use crate::identity;
use crate::setup::{CHAT, Setup, chat, stream};

async fn before(scripted: &Scripted) -> Portico {
    let portico = Setup::new().model("scripted", &[&scripted.endpoint()], "").probing().start().await;
    until(SOON, "it has been asked who it is", async || {
        portico.get("/v1/models/scripted").await.json()["max_model_len"].is_u64().then_some(())
    })
    .await;
    portico
}

async fn received(portico: &Portico, scripted: &Scripted, call: &Value) -> Value {
    let answer = portico.post_json(CHAT, call).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    scripted.requests_to(CHAT).await.pop().expect("it was received").json()
}

#[tokio::test]
async fn a_vllm_s_advisories_are_listed_by_its_version() {
    let scripted = Scripted::with(&["--vllm", "0.19.0"]).await;
    let portico = before(&scripted).await;
    let list = ask(&portico, &["model", "list", "--advisories", "--json"]).await.expect(0).json();
    assert_eq!((&list[0]["server"], &list[0]["version"]), (&json!("vllm"), &json!("0.19.0")));
    assert_eq!(list[0]["upgrade_to"], "0.23.1");
    let covered_by = |id: &str| {
        let all = list[0]["advisories"].as_array().into_iter().flatten();
        all.filter(|advisory| advisory["id"] == id).map(|advisory| advisory["covered_by"].clone()).next()
    };
    assert_eq!(covered_by("CVE-2026-44222"), Some(json!("portico")));
    assert_eq!(covered_by("CVE-2026-44223"), Some(json!("operator")));
    assert_eq!(covered_by("CVE-2026-34756"), None, "fixed in 0.19.0");
    let words = ask(&portico, &["model", "list", "--advisories"]).await.expect(0).stdout;
    assert!(words.contains("vLLM 0.19.0") && words.contains("policy.deny_keys"), "{words}");
}

#[tokio::test]
async fn a_new_vllm_has_none_and_an_unknown_server_says_so() {
    for (flags, words) in
        [(&["--vllm", "0.32.0+cpu"][..], "no known advisory applies"), (&[], "not known what program")]
    {
        let scripted = Scripted::with(flags).await;
        let portico = before(&scripted).await;
        let said = ask(&portico, &["model", "list", "--advisories"]).await.expect(0).stdout;
        assert!(said.contains(words), "{said}");
    }
}

/// CVE-2025-46570: one value for every call of those who are nobody in particular, that nobody can guess, for vLLM only.
#[tokio::test]
async fn the_prefix_cache_of_vllm_is_salted_by_portico() {
    let vllm = Scripted::with(&["--vllm", "0.32.0"]).await;
    let portico = before(&vllm).await;
    let first = received(&portico, &vllm, &chat("one")).await["cache_salt"].clone();
    let second = received(&portico, &vllm, &stream("two")).await["cache_salt"].clone();
    assert_eq!(first, second, "it is of use only while it stays");
    assert_eq!(first.as_str().map(str::len), Some(64), "{first}");
    let another = before(&vllm).await;
    assert_ne!(received(&another, &vllm, &chat("one")).await["cache_salt"], first, "drawn at every start");

    let other = Scripted::start().await;
    let portico = before(&other).await;
    assert_eq!(received(&portico, &other, &chat("one")).await.get("cache_salt"), None);
}

/// CVE-2025-46570 between people: who has another salt learns nothing from the time of an answer.
#[tokio::test]
async fn each_user_has_a_salt_of_his_own() {
    let vllm = Scripted::with(&["--vllm", "0.32.0"]).await;
    let model = Setup::new().model("scripted", &[&vllm.endpoint()], "");
    let portico = model.with(identity::ASKS).probing().start().await;
    let mut salts = Vec::new();
    for name in ["ada", "bob"] {
        identity::add(&portico, name).await;
        let (_, key) = identity::key(&portico, &["--user", name]).await;
        let basic = identity::basic(name, identity::PASSWORD);
        until(SOON, "it has been asked who it is", async || {
            let answer = portico.once("GET", "/v1/models/scripted", &[("X-Api-Key", &key)], &[]).await;
            answer.json()["max_model_len"].is_u64().then_some(())
        })
        .await;
        for credential in [("X-Api-Key", key.as_str()), ("Authorization", basic.as_str())] {
            let headers = [("Content-Type", "application/json"), credential];
            let answer = portico.once("POST", CHAT, &headers, chat("one").to_string().as_bytes()).await;
            assert_eq!(answer.head.status, 200, "{}", answer.text());
            let received = vllm.requests_to(CHAT).await.pop().expect("it was received").json();
            salts.push(received["cache_salt"].as_str().expect("a salt").to_owned());
        }
    }
    let [ada, ada_again, bob, bob_again] = &salts[..] else { panic!("{salts:?}") };
    assert_eq!((ada, bob), (ada_again, bob_again), "whatever the credential");
    assert_ne!(ada, bob);
}

/// The scripted server tells a context of 4096 tokens.
#[tokio::test]
async fn the_limit_of_an_answer_keeps_to_the_plan_and_the_context() {
    let scripted = Scripted::start().await;
    let plan = "[plan.default]\nmax_output_tokens = 3000";
    let portico =
        Setup::new().model("scripted", &[&scripted.endpoint()], "").with(plan).probing().start().await;
    until(SOON, "its context is known", async || {
        portico.get("/v1/models/scripted").await.json()["max_model_len"].is_u64().then_some(())
    })
    .await;
    let long = "word ".repeat(2000);
    for (text, named, least, most) in [
        ("hi", json!(null), 3000, 3000),
        ("hi", json!(20), 20, 20),
        ("hi", json!(100_000), 3000, 3000),
        // 10,000 bytes: no more than 256 tokens are promised to fit, and none is refused for that.
        (long.as_str(), json!(null), 256, 256),
        // It was named and could fit.
        (long.as_str(), json!(2500), 2500, 2500),
    ] {
        let mut call = chat(text);
        call["max_tokens"] = named.clone();
        let tokens =
            received(&portico, &scripted, &call).await["max_tokens"].as_u64().expect("always written");
        assert!((least..=most).contains(&tokens), "{named}: {tokens}");
    }
}

/// Without a plan's limit and a known context there is nothing to write but what the client names.
#[tokio::test]
async fn without_any_limit_none_is_made_up() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[plan.default]\nmax_output_tokens = 0").start().await;
    assert_eq!(received(&portico, &scripted, &chat("hi")).await.get("max_tokens"), None);
    let mut call = chat("hi");
    call["max_completion_tokens"] = json!(9);
    let got = received(&portico, &scripted, &call).await;
    assert_eq!((&got["max_tokens"], &got["max_completion_tokens"]), (&json!(9), &json!(9)));
}

#[tokio::test]
async fn the_operator_opens_and_closes_keys_in_the_file() {
    let scripted = Scripted::start().await;
    let policy = "[policy]\nallow_keys = [\"grammar\"]\ndeny_keys = [\"seed\"]";
    let portico = Setup::before(&scripted).with(policy).start().await;
    let mut call = chat("hi");
    call["grammar"] = json!("root ::= \"a\"");
    assert_eq!(received(&portico, &scripted, &call).await["grammar"], call["grammar"]);
    call["seed"] = json!(1);
    let answer = portico.post_json(CHAT, &call).await;
    assert_eq!((answer.head.status, &answer.json()["error"]["param"]), (400, &json!("seed")));
}

/// Token ids are taken where no picture can be meant.
#[tokio::test]
async fn token_ids_reach_models_without_eyes_only() {
    let scripted = Scripted::start().await;
    for (modalities, status) in [("[\"text\"]", 200), ("[\"text\", \"image\"]", 400)] {
        let more = format!("upstream_name = \"scripted-model\"\nmodalities = {modalities}");
        let portico = Setup::new().model("scripted", &[&scripted.endpoint()], &more).start().await;
        let call = json!({ "model": "scripted", "prompt": [1, 2, 3] });
        assert_eq!(portico.post_json("/v1/completions", &call).await.head.status, status, "{modalities}");
        let call = json!({ "model": "scripted", "input": [[1, 2], [3]] });
        assert_eq!(portico.post_json("/v1/embeddings", &call).await.head.status, status, "{modalities}");
    }
}

/// Nothing is cut for a server that is known to stop by itself; another one must not have to refuse.
#[tokio::test]
async fn a_server_that_stops_at_its_context_gets_the_whole_of_it() {
    for (version, least, most) in [("0.32.0+cpu", 4096, 4096), ("0.11.0", 3800, 4095)] {
        let vllm = Scripted::with(&["--vllm", version]).await;
        let portico = before(&vllm).await;
        let tokens = received(&portico, &vllm, &chat("hi")).await["max_tokens"].as_u64();
        assert!(tokens.is_some_and(|tokens| (least..=most).contains(&tokens)), "{version}: {tokens:?}");
    }
}
