//! Makes the certificate that all contenders serve: self-signed, ECDSA with P-256, as a site has one today.
//!
//! `certificate FOLDER` writes `certificate.pem` and `key.pem` there.

use std::path::Path;
use std::process::ExitCode;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let made = match (arguments.next(), arguments.next()) {
        (Some(folder), None) => make(Path::new(&folder)),
        _ => Err("one folder wanted".to_owned()),
    };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("certificate: {error}");
            ExitCode::from(2)
        }
    }
}

fn make(folder: &Path) -> Result<(), String> {
    let bad = |error: rcgen::Error| error.to_string();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(bad)?;
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).map_err(bad)?;
    let certificate = parameters.self_signed(&key).map_err(bad)?;
    for (name, text) in [("certificate.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}
