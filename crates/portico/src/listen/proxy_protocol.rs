//! The header that a proxy puts in front of a connection to say whose it is (the PROXY protocol, versions 1 and 2, of
//! HAProxy's `doc/proxy-protocol.txt`). Read only from `listen.trusted_proxies`, and there it has to be: a receiver must
//! not guess (section 2 of that text).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The first bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 1, with its line end (section 2.1).
const LONGEST_LINE_BYTES: usize = 107;
/// Of version 2 behind its first 16 bytes: addresses, then whatever else the proxy has to say, which is skipped.
const MOST_BYTES: u16 = 4096;

/// Two paths of Unix sockets (section 2.2).
const UNIX_ADDRESSES_BYTES: usize = 216;

/// Whose connection this is, as the proxy says; `None`: the proxy's own, such as a health check.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let [version_and_command, family, length @ ..] = rest;
        let length = u16::from_be_bytes(length);
        if length > MOST_BYTES {
            return Err(wrong("its version 2 header is too long"));
        }
        let mut addresses = vec![0; usize::from(length)];
        stream.read_exact(&mut addresses).await?;
        return version_2(version_and_command, family, &addresses);
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE_BYTES || !line.starts_with(b"PROXY ") {
            return Err(wrong("it does not begin with a PROXY header"));
        }
        line.push(stream.read_u8().await?);
    }
    version_1(&line[..line.len() - 2])
}

/// Section 2.1, without the line end.
fn version_1(line: &[u8]) -> io::Result<Option<IpAddr>> {
    // Another reader takes it for the end of the line.
    if line.contains(&b'\r') {
        return Err(wrong("its version 1 header has a carriage return within"));
    }
    let line = std::str::from_utf8(line).map_err(|_| wrong("its version 1 header is not ASCII"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let (family, addresses) = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), ref addresses @ ..] => (family, addresses),
        _ => return Err(wrong("its version 1 header names no known family")),
    };
    let [source, destination, source_port, destination_port] = *addresses else {
        return Err(wrong("its version 1 header does not hold two addresses and two ports"));
    };
    let address = |text: &str| {
        let address: IpAddr = text.parse().map_err(|_| wrong("its version 1 header holds no address"))?;
        match address.is_ipv4() == (family == "TCP4") {
            true => Ok(address),
            false => Err(wrong("its version 1 header holds an address of another family")),
        }
    };
    let source = address(source)?;
    address(destination)?;
    for port in [source_port, destination_port] {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        // "Heading zeroes are not permitted" (section 2.1).
        let is_padded = port.len() > 1 && port.starts_with('0');
        if !digits || is_padded || port.parse::<u16>().is_err() {
            return Err(wrong("its version 1 header holds no port"));
        }
    }
    Ok(Some(source.to_canonical()))
}

/// Section 2.2: what stands behind the signature and the length.
fn version_2(version_and_command: u8, family: u8, addresses: &[u8]) -> io::Result<Option<IpAddr>> {
    match version_and_command {
        // LOCAL: the proxy speaks for itself.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(wrong("its version 2 header has another version or command")),
    }
    let short = || wrong("its version 2 header is shorter than its addresses");
    match family {
        // Of an unknown or a Unix socket: nothing that could be taken for the client's address.
        0x00 => Ok(None),
        0x31 | 0x32 => addresses.get(..UNIX_ADDRESSES_BYTES).ok_or_else(short).map(|_paths| None),
        0x11 => {
            let source: [u8; 4] =
                addresses.get(..12).ok_or_else(short)?[..4].try_into().map_err(|_| short())?;
            Ok(Some(Ipv4Addr::from(source).into()))
        }
        0x21 => {
            let source: [u8; 16] =
                addresses.get(..36).ok_or_else(short)?[..16].try_into().map_err(|_| short())?;
            Ok(Some(IpAddr::from(Ipv6Addr::from(source)).to_canonical()))
        }
        _ => Err(wrong("its version 2 header is not of a TCP connection")),
    }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), io::ErrorKind> {
        let mut rest = bytes;
        let address = read(&mut rest).await.map_err(|error| error.kind())?;
        Ok((address.map(|address| address.to_string()), rest.to_vec()))
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        bytes.extend(addresses);
        bytes
    }

    #[tokio::test]
    async fn version_1_names_the_client_and_takes_nothing_else() {
        for (line, wanted) in [
            ("PROXY TCP4 203.0.113.9 192.0.2.1 56324 443", Some("203.0.113.9")),
            ("PROXY TCP6 2001:db8::9 2001:db8::1 1 65535", Some("2001:db8::9")),
            ("PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2", Some("203.0.113.9")),
            ("PROXY UNKNOWN", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2", None),
        ] {
            let bytes = format!("{line}\r\nGET / HTTP/1.1\r\n");
            let wanted = (wanted.map(str::to_owned), b"GET / HTTP/1.1\r\n".to_vec());
            assert_eq!(of(bytes.as_bytes()).await, Ok(wanted), "{line}");
        }
        for line in [
            "PROXY TCP4 203.0.113.9 192.0.2.1 56324",
            "PROXY TCP4 203.0.113.9 192.0.2.1 56324 443 1",
            "PROXY TCP4 2001:db8::9 2001:db8::1 1 2",
            "PROXY TCP6 203.0.113.9 192.0.2.1 1 2",
            "PROXY TCP4 203.0.113.9 192.0.2.1 99999 443",
            "PROXY TCP4 203.0.113.9 192.0.2.1 +1 443",
            "PROXY TCP4 203.0.113.9 192.0.2.1 0001 443",
            "PROXY TCP4 203.0.113.9  192.0.2.1 1 443",
            "PROXY UDP4 203.0.113.9 192.0.2.1 1 2",
            "proxy TCP4 203.0.113.9 192.0.2.1 1 2",
            "PROXY UNKNOWN a\rb",
            "GET / HTTP/1.1",
        ] {
            let bytes = format!("{line}\r\nmore than enough behind it");
            assert_eq!(of(bytes.as_bytes()).await, Err(io::ErrorKind::InvalidData), "{line}");
        }
        let endless = "PROXY TCP4 ".repeat(20);
        assert_eq!(of(endless.as_bytes()).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(of(b"PROXY TCP4 1").await, Err(io::ErrorKind::UnexpectedEof));
    }

    #[tokio::test]
    async fn version_2_names_the_client_and_takes_nothing_else() {
        let four = [203, 0, 113, 9, 192, 0, 2, 1, 0, 1, 1, 187];
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        six[15] = 9;
        let longer = [&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        for (command, family, addresses, wanted) in [
            (0x21, 0x11, &four[..], Some("203.0.113.9")),
            (0x21, 0x11, &longer, Some("203.0.113.9")),
            (0x21, 0x21, &six, Some("2001:db8::9")),
            (0x20, 0x00, &[], None),
            (0x20, 0x40, &[], None),
            (0x20, 0x11, &four, None),
            (0x21, 0x00, &[], None),
            (0x21, 0x31, &[0; UNIX_ADDRESSES_BYTES], None),
            (0x21, 0x32, &[0; UNIX_ADDRESSES_BYTES + 7], None),
        ] {
            let bytes = [&v2(command, family, addresses)[..], b"rest"].concat();
            let wanted = (wanted.map(str::to_owned), b"rest".to_vec());
            assert_eq!(of(&bytes).await, Ok(wanted), "{command:x} {family:x}");
        }
        for (command, family, addresses) in [
            (0x21, 0x11, &four[..11]),
            (0x21, 0x21, &four),
            (0x21, 0x31, &[]),
            (0x21, 0x32, &[0; UNIX_ADDRESSES_BYTES - 1]),
            (0x22, 0x11, &four),
            (0x11, 0x11, &four),
            (0x21, 0x12, &four),
        ] {
            let bytes = v2(command, family, addresses);
            assert_eq!(of(&bytes).await, Err(io::ErrorKind::InvalidData), "{command:x} {family:x}");
        }
        let mut long = v2(0x21, 0x11, &four);
        long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(of(&long).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(of(&v2(0x21, 0x11, &four)[..20]).await, Err(io::ErrorKind::UnexpectedEof));
    }
}
