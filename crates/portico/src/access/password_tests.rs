use super::*;

/// Made by `htpasswd` (Apache 2.4) and `openssl passwd` (OpenSSL 3).
const KNOWN: [(&str, &str, Kind); 13] = [
    ("secret", "$apr1$s.KKgiaY$57t1yOgZ8Cl5nyRicwuSk1", Kind::Apr1),
    ("secret", "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", Kind::Apr1),
    ("A1b2C3d4!", "$apr1$abcdefgh$D4CkiGXx58RT6oZKLrJPM.", Kind::Apr1),
    ("密码", "$apr1$abcdefgh$F/jr18/TeIciJKZpChEXN.", Kind::Apr1),
    ("", "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.", Kind::Apr1),
    ("secret", "$2y$05$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i", Kind::Bcrypt),
    ("密码", "$2y$05$lIeF40ZH.bPjJ290ZufDfebA/PodcE/AwohEAn7hbIMkCilamdnaG", Kind::Bcrypt),
    ("secret", "$5$uRkDOnbtmvJXpKQT$4k3uyArsqQs2AAespd43KkBigCFgjwjo2NpEGJb01M3", Kind::ShaCrypt),
    (
        "secret",
        "$6$.nvd4OJAzjfJITEu$BOpiv7OtFnx4VBTTvJ6RF2TH2Hbt5bia3clDrLgf0SyXuUtqIHwcsiTEmwHIR74TdK7absOwOxrELpusJdLVW/",
        Kind::ShaCrypt,
    ),
    (
        "secret",
        "$6$rounds=20000$YBCm/6.N3H5QfIeI$ELcovPnxjhh0BjHpvWJwjB7Im2YmnYcuwWOCqVHKbHe7NV3qeXxuxL/yGU/2v22JB4SDBByCNyICEw6.pNMrO0",
        Kind::ShaCrypt,
    ),
    (
        "密码",
        "$6$saltsaltsaltsalt$CuZWJrsxdM68EvCG2c.qvgwCqrBqDrZ16XL4yyt3PZtaBzH/xuOKG9fjOT8n0HnzX5sFAwhQw.PSsHxfROz5x.",
        Kind::ShaCrypt,
    ),
    // The vector of RFC 9106's reference implementation, and one of another's making (argon2-cffi).
    (
        "password",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        Kind::Argon2,
    ),
    (
        "password",
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
        Kind::Argon2,
    ),
];

#[test]
fn hashes_of_other_programs_are_understood() {
    for (password, text, kind) in KNOWN {
        let hash = PasswordHash::parse(text).unwrap_or_else(|not| panic!("{text}: {not:?}"));
        assert_eq!(hash.kind(), kind, "{text}");
        assert!(hash.is_of(password.as_bytes()), "{text}");
        assert!(!hash.is_of(format!("{password}x").as_bytes()), "{text}");
        assert!(!hash.is_of(b"other"), "{text}");
    }
}

#[test]
fn apr1_is_apache_s_at_every_length() {
    // Around the digest's own length the bytes are taken in another way.
    for (length, digest) in [
        (1, "82JubPF2dQkt1tVfvLnXS."),
        (15, "Br58S.zIPGCRGGlG3cb.4/"),
        (16, "R0E65Eb3vdT903fP0jqAA0"),
        (17, "nEC.roMonfRVEvk1l1rnA/"),
        (31, "YN5Vq3U1gvn08d1DIKNhV0"),
        (32, "yTNdS7iddw1xhOf4DN7hC0"),
        (33, "5YkgR/.Nxu.IeFpunYPzQ."),
        (64, "sYpVmKv8KQPwkvpertal7/"),
        (100, "9/cwT0JwksL/fA2yBHBE6/"),
    ] {
        assert_eq!(apr1("x".repeat(length).as_bytes(), b"abcdefgh"), digest, "{length}");
    }
}

#[test]
fn bcrypt_counts_72_bytes_as_htpasswd_does() {
    let hash = PasswordHash::parse("$2y$04$nprOqyjS.m5E7dEfQIwXX..Vr6gd0.QfetwThPAy1j5gQtouswTs6").unwrap();
    assert!(hash.is_of("x".repeat(80).as_bytes()));
    assert!(hash.is_of("x".repeat(72).as_bytes()));
    assert!(!hash.is_of("x".repeat(71).as_bytes()));
}

#[test]
fn what_is_readable_or_absurd_is_not_taken() {
    use NotTaken::{Readable, TooCostly, Unknown};
    for (text, wanted) in [
        ("secret", Readable),
        ("", Readable),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", Readable),
        ("{SSHA}xxxx", Readable),
        ("x6Idip7Rl3txs", Readable),
        ("$2y$31$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i", TooCostly),
        ("$2y$15$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i", TooCostly),
        ("$2y$05$short", Unknown),
        ("$2x$05$Xztiemap8MY3g4rrpZw5Te7TlASu63LQBgbQ8XXFtgBpTw6Qwm12i", Unknown),
        ("$6$rounds=999999999$a$b", TooCostly),
        ("$6$rounds=99999999999999$a$b", TooCostly),
        ("$6$salt$short", Unknown),
        ("$6$", Unknown),
        ("$1$salt$short", Unknown),
        ("$apr1$", Unknown),
        ("$apr1$abcdefghi$h9FWgUz3n9YxylKLlR5SQ/", Unknown),
        ("$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ", Unknown),
        (
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            TooCostly,
        ),
        (
            "$argon2id$v=19$m=65536,t=100,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            TooCostly,
        ),
        ("$argon2id$v=19$m=65536,t=2,p=1", Unknown),
    ] {
        assert_eq!(PasswordHash::parse(text), Err(wanted), "{text}");
    }
}

#[test]
fn a_new_hash_is_of_its_password_and_of_no_other() {
    let first = hash("密码 with words".as_bytes()).unwrap();
    let second = hash("密码 with words".as_bytes()).unwrap();
    assert_ne!(first.as_str(), second.as_str(), "each has its own salt");
    assert!(first.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.as_str());
    assert!(first.is_of("密码 with words".as_bytes()) && !first.is_of(b"other"));
    assert_eq!(PasswordHash::parse(first.as_str()), Ok(first));
    assert!(!second.is_of(&[b'x'; LONGEST_PASSWORD_BYTES + 1]));
}

#[test]
fn a_chosen_password_is_judged_by_its_length() {
    for (name, password, wanted) in [
        ("ada", "long enough", true),
        ("ada", "密码密码密码密码", true),
        ("ada", "short", false),
        ("ada", "", false),
        ("ada-lovelace", "ADA-Lovelace", false),
        ("ada", &"x".repeat(1024), true),
        ("ada", &"x".repeat(1025), false),
        ("ada", "with\0nul in it", false),
    ] {
        assert_eq!(refused(name, password).is_none(), wanted, "{password}");
    }
}
