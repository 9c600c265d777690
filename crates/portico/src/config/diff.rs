//! What a reload would change, key by key. Pure.

use super::checked::{
    Access, Alerts, Config, Cors, Firewall, Health, Issuer, Limits, Listen, Lockout, Log, Model, Plan,
    Policy, Queue, Site, Smtp, Store, Stream, Timeouts, Tls,
};

/// A key of the file as a person would say it: `timeouts.drain`, `plan.batch.weight`, `model[qwen].args`.
pub(crate) type KeyPath = String;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Diff {
    pub(crate) changed: Vec<KeyPath>,
    /// Those of `changed` that a running Portico can't take over.
    pub(crate) needs_restart: Vec<KeyPath>,
}

/// Sockets are bound and privileges dropped once; the data folder is held by what is open in it. The default of
/// `listen.https` follows the mode, and must not keep rules from being added: what is bound goes on.
fn needs_restart(key: &str, old: &Config, new: &Config) -> bool {
    match key {
        "listen.https" => old.listen.https_written || new.listen.https_written,
        // Serving https or not is a matter of sockets; who signs is not.
        "tls.issuer" => (old.tls.issuer == Issuer::Off) != (new.tls.issuer == Issuer::Off),
        "listen.metrics" => false,
        "site.data_dir" | "site.user" | "store.url" => true,
        _ => key.starts_with("listen."),
    }
}

/// Compares every field of a section, taken apart completely so that a new key can't be forgotten.
macro_rules! compare {
    ($changed:ident, $prefix:expr, $old:expr, $new:expr, $kind:ident { $($field:ident $($key:literal)?),* $(,)? }) => {{
        let (old, new): (&$kind, &$kind) = ($old, $new);
        let $kind { $($field: _),* } = old;
        $(
            if old.$field != new.$field {
                #[allow(unused_mut, unused_assignments, reason = "only some keys have another name than their field")]
                let mut key = stringify!($field);
                $(key = $key;)?
                $changed.push(format!("{}.{key}", $prefix));
            }
        )*
    }};
}

pub(crate) fn diff(old: &Config, new: &Config) -> Diff {
    let Config {
        site,
        listen,
        tls,
        timeouts,
        access,
        cors,
        limits,
        plans,
        queue,
        stream,
        policy,
        models,
        log,
        health,
        alerts,
        firewall,
        store,
    } = old;
    let mut changed = Vec::new();
    compare!(changed, "site", site, &new.site, Site { names, email, root, index, data_dir, user, language });
    diff_listen(&mut changed, listen, &new.listen);
    diff_tls(&mut changed, tls, &new.tls);
    diff_timeouts(&mut changed, timeouts, &new.timeouts);
    diff_access(&mut changed, access, &new.access);
    compare!(changed, "cors", cors, &new.cors, Cors { origins, methods, headers, expose, max_age });
    compare!(changed, "limits", limits, &new.limits, Limits {
        body_bytes "body", body_total_bytes "body_total", header_bytes, header_count, target_bytes, json_depth,
    });
    diff_plans(&mut changed, plans, &new.plans);
    compare!(changed, "queue", queue, &new.queue, Queue { max_running, max_waiting, max_wait, keepalive });
    compare!(changed, "stream", stream, &new.stream, Stream { keep, keep_bytes });
    diff_policy(&mut changed, policy, &new.policy);
    diff_models(&mut changed, models, &new.models);
    compare!(changed, "log", log, &new.log, Log {
        access, format, error, level, rotate_size_bytes "rotate.size", rotate_keep "rotate.keep", prompts,
    });
    compare!(
        changed,
        "health",
        health,
        &new.health,
        Health { interval, generate_every, failures, heartbeat_url }
    );
    diff_alerts(&mut changed, alerts, &new.alerts);
    compare!(changed, "firewall", firewall, &new.firewall, Firewall { backend, default, open, closed });
    compare!(changed, "store", store, &new.store, Store { url, keep_usage });
    // Written or not, it is one key.
    changed.dedup();
    let needs_restart = changed.iter().filter(|key| needs_restart(key, old, new)).cloned().collect();
    Diff { changed, needs_restart }
}

fn diff_listen(changed: &mut Vec<KeyPath>, old: &Listen, new: &Listen) {
    compare!(
        changed,
        "listen",
        old,
        new,
        Listen {
            http,
            https,
            https_written "https",
            admin,
            metrics,
            trusted_proxies,
            proxy_protocol,
            max_connections,
            max_connections_per_address,
        }
    );
}

fn diff_tls(changed: &mut Vec<KeyPath>, old: &Tls, new: &Tls) {
    compare!(changed, "tls", old, new, Tls {
        issuer, fallback, challenge, profile, eab_kid "eab.kid", eab_hmac_file "eab.hmac_file", dns_provider "dns.provider",
        dns_credentials_file "dns.credentials_file", ca_file, certificate, key, min_version, hsts, redirect,
    });
}

fn diff_timeouts(changed: &mut Vec<KeyPath>, old: &Timeouts, new: &Timeouts) {
    compare!(
        changed,
        "timeouts",
        old,
        new,
        Timeouts {
            handshake,
            request_headers,
            keep_alive,
            request_body_idle,
            write_stall,
            upstream_connect,
            upstream_send,
            upstream_first_byte,
            stream_idle,
            drain,
        }
    );
}

fn diff_policy(changed: &mut Vec<KeyPath>, old: &Policy, new: &Policy) {
    compare!(
        changed,
        "policy",
        old,
        new,
        Policy {
            enabled,
            endpoints,
            max_choices,
            max_images,
            max_image_bytes,
            max_image_pixels,
            image_urls,
            image_url_hosts,
            strip_metadata,
            allow_keys,
            deny_keys,
        }
    );
}

fn diff_access(changed: &mut Vec<KeyPath>, old: &Access, new: &Access) {
    let mut own = Vec::new();
    compare!(
        own,
        "access",
        old,
        new,
        Access { scope, satisfy, allow, deny, htpasswd, realm, login_page, session, lockout, admin_allow }
    );
    // The inline table is compared by its own keys.
    own.retain(|key: &KeyPath| key != "access.lockout");
    compare!(own, "access.lockout", &old.lockout, &new.lockout, Lockout { failures, window, ban });
    changed.extend(own);
}

fn diff_alerts(changed: &mut Vec<KeyPath>, old: &Alerts, new: &Alerts) {
    let mut own = Vec::new();
    compare!(own, "alerts", old, new, Alerts { repeat, quiet, smtp, targets "target" });
    own.retain(|key: &KeyPath| key != "alerts.smtp");
    compare!(
        own,
        "alerts.smtp",
        &old.smtp,
        &new.smtp,
        Smtp { host, port, security, username, password_file, from }
    );
    changed.extend(own);
}

fn diff_plans(changed: &mut Vec<KeyPath>, old: &[Plan], new: &[Plan]) {
    for plan in old {
        let path = format!("plan.{}", plan.name);
        match new.iter().find(|other| other.name == plan.name) {
            None => changed.push(path),
            Some(other) => compare!(
                changed,
                path,
                plan,
                other,
                Plan {
                    name,
                    requests_per_minute,
                    tokens_per_minute,
                    tokens_per_day,
                    concurrent,
                    waiting,
                    max_output_tokens,
                    weight,
                    models,
                    hours,
                }
            ),
        }
    }
    let added = new.iter().filter(|plan| !old.iter().any(|other| other.name == plan.name));
    changed.extend(added.map(|plan| format!("plan.{}", plan.name)));
}

fn diff_models(changed: &mut Vec<KeyPath>, old: &[Model], new: &[Model]) {
    for model in old {
        let path = format!("model[{}]", model.name);
        match new.iter().find(|other| other.name == model.name) {
            None => changed.push(path),
            Some(other) => compare!(
                changed,
                path,
                model,
                other,
                Model {
                    name,
                    aliases,
                    upstream_name,
                    engine,
                    path,
                    source,
                    endpoints,
                    allow_public,
                    api_key_file,
                    args,
                    user,
                    log,
                    start_timeout,
                    probe_timeout,
                    stop_grace,
                    modalities,
                    context,
                    boxes,
                }
            ),
        }
    }
    let added = new.iter().filter(|model| !old.iter().any(|other| other.name == model.name));
    changed.extend(added.map(|model| format!("model[{}]", model.name)));
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    fn between(old: &str, new: &str) -> Diff {
        let config = |text| read(text).expect("a valid file").config;
        diff(&config(old), &config(new))
    }

    #[test]
    fn what_changed_is_named_and_what_needs_a_restart_too() {
        assert_eq!(between("", ""), Diff::default());
        let found = between(
            "[timeouts]\ndrain = \"10s\"\n[access.lockout]\nban = \"1m\"\n[plan.a]\nweight = 2\n[[model]]\nname = \"m\"\nengine = \"external\"",
            "[listen]\nhttp = [\"127.0.0.1:9000\"]\n[limits]\nbody = \"1MiB\"\n[plan.b]\n[[model]]\nname = \"m\"\nengine = \"external\"\ncontext = 4096\n[[model]]\nname = \"n\"\nengine = \"external\"",
        );
        assert_eq!(
            found.changed,
            [
                "listen.http",
                "timeouts.drain",
                "access.lockout.ban",
                "limits.body",
                "plan.a",
                "plan.b",
                "model[m].context",
                "model[n]"
            ]
        );
        assert_eq!(found.needs_restart, ["listen.http"]);
    }

    #[test]
    fn two_ways_to_write_the_same_do_not_differ() {
        assert_eq!(between("[timeouts]\ndrain = \"120s\"", "[timeouts]\ndrain = \"2m\""), Diff::default());
    }
}
