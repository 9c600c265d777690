//! A host and a path that are accepted are what any other reader would take them for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::target;

fuzz_target!(|data: &[u8]| {
    let mut fields = data.split(|byte| *byte == 0);
    let (uri, host) = (fields.next().unwrap_or_default(), fields.next());
    let version = if data.len() % 2 == 0 { http::Version::HTTP_11 } else { http::Version::HTTP_2 };
    let mut request = http::Request::builder().uri(uri).version(version);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let Ok(request) = request.body(()) else { return };
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let Some((path, name)) = target(request) else { return };
    assert!(path.starts_with('/') && !path.contains(['?', '#', ' ']), "{path:?}");
    let name = name.expect("only HTTP/1.0 may have no host");
    assert!(!name.is_empty() && !name.contains(['/', '?', '#', '@', '\\', '%', ' ', ',']), "{name:?}");
    // Joined to a URL, as Starlette does it, the host stays the host and the path the path.
    let field = host.map_or(authority, |host| Some(String::from_utf8(host.to_vec()).expect("it was text")));
    let url = format!("http://{}{path}", field.expect("one of the two names it"));
    let joined: http::Uri = url.parse().expect("a URL");
    assert!(joined.host().is_some_and(|host| host.eq_ignore_ascii_case(&name)), "{url}");
    assert_eq!(joined.path(), path, "{url}");
});
