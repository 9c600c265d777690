//! Whose connection a header says that it is, another reader of the PROXY protocol says as well, of as many bytes.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use ppp::{HeaderResult, PartialResult as _, v1, v2};

fuzz_target!(|data: &[u8]| {
    let Some((address, bytes)) = portico::fuzzing::proxy(data) else { return };
    // LOCAL: the family is ignored, whatever it is (PROXY protocol, 2.2). The other reader refuses one that it does not know.
    if data.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x20") {
        assert_eq!((address, bytes), (None, 16 + usize::from(u16::from_be_bytes([data[14], data[15]]))));
        return;
    }
    // UNKNOWN: whatever stands before the line's end is ignored (2.1). The other reader counts words there, too.
    if data.starts_with(b"PROXY UNKNOWN ") {
        let end = data.windows(2).position(|pair| pair == b"\r\n").expect("a line has an end");
        assert_eq!((address, bytes), (None, end + 2));
        assert!(bytes <= 107);
        return;
    }
    // It need not have room for what follows.
    let other = HeaderResult::parse(&data[..bytes]);
    assert!(other.is_complete(), "{other:?}");
    let (theirs, length): (Option<IpAddr>, usize) = match other {
        HeaderResult::V1(Ok(header)) => {
            let source = match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
                v1::Addresses::Tcp6(addresses) => Some(IpAddr::from(addresses.source_address).to_canonical()),
            };
            (source, header.header.len())
        }
        HeaderResult::V2(Ok(header)) => {
            let source = match (header.command, header.addresses) {
                (v2::Command::Local, _) => None,
                (_, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
                (_, v2::Addresses::IPv6(addresses)) => Some(IpAddr::from(addresses.source_address).to_canonical()),
                (_, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
            };
            (source, header.len())
        }
        other => panic!("accepted, and refused by the other reader: {other:?}"),
    };
    assert_eq!(length, bytes);
    assert_eq!(address.map(|address| address.to_canonical()), theirs);
});
