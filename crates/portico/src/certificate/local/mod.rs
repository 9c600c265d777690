//! The local certificate authority, for machines without a public name: it is made on first use, signs what this machine is
//! called and nothing public, and whoever trusts its root (`portico cert trust`) is warned no more.
//!
//! It stays as long as it can, because trust in it was given by hand on every machine and phone. Names and addresses that
//! the machine merely has may change without it: what it may not sign is left out. Only where the *configuration* asks for
//! what it may not sign (`site.names`, an address in `listen.https`), where it is at its end or can't be read, a new one is
//! made, and that is told ([`Notice::Replaced`]).

mod constraints;
mod issue;
mod root;
mod said;
mod store;
mod wanted;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{Issuer, KeyPair, PublicKeyData as _};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::pair::{Leaf, Pair};
use constraints::Constraints;
use issue::{LEAF_LIFETIME, Made};
pub(crate) use root::Root;
pub(crate) use said::{LocalError, Notice, Why};
use store::Store;
pub(crate) use wanted::Wanted;

const ROOT_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca.key";
pub(crate) const LEAF_FILE: &str = "leaf.pem";
const FORMER: &str = "former-";

/// An authority that can sign.
pub(crate) struct Authority {
    store: Store,
    root: Root,
    issuer: Issuer<'static, KeyPair>,
    notices: Vec<Notice>,
}

/// What was found in the folder.
enum Kept {
    Nothing,
    Authority(Root, KeyPair),
    /// The certificate where it can be read, and what is wrong.
    Unusable(Option<Root>, String),
}

impl Authority {
    /// Blocks on the disk, and up to ten seconds on another process that makes one at the same time.
    pub(crate) fn open_or_make(
        data_dir: &Path,
        wanted: &Wanted,
        now: SystemTime,
    ) -> Result<Self, LocalError> {
        let store = Store::new(data_dir);
        store.make()?;
        let _lock = store.lock()?;
        let (kept, notice) = keep(&store)?;
        let mut notices: Vec<Notice> = notice.into_iter().collect();
        let (former, why) = match kept {
            Kept::Authority(root, key) => match root.outlived(wanted, LEAF_LIFETIME, now) {
                None => {
                    let issuer =
                        Issuer::from_ca_cert_der(&root.certificate, key).map_err(LocalError::Make)?;
                    return Ok(Self { store, root, issuer, notices });
                }
                Some(why) => (Some(root), Some(why)),
            },
            Kept::Unusable(root, what) => (root, Some(Why::Unusable(what))),
            Kept::Nothing => (None, None),
        };
        match former {
            Some(root) => store.set_aside(ROOT_FILE, &format!("{FORMER}{}.pem", root.mark()))?,
            None => store.set_aside(ROOT_FILE, &format!("{ROOT_FILE}.unusable"))?,
        }
        let (root, issuer) = make(&store, wanted, now)?;
        let name = root.name.clone();
        notices.push(match why {
            Some(why) => Notice::Replaced { name, why },
            None => Notice::Made { name },
        });
        Ok(Self { store, root, issuer, notices })
    }

    /// What is to be told about how it was opened.
    pub(crate) fn notices(&self) -> &[Notice] {
        &self.notices
    }

    #[cfg(test)]
    fn root(&self) -> &Root {
        &self.root
    }

    /// The certificate for these names: the kept one, or a new one where [`needs_new`] says so. Cheap enough to be asked
    /// every hour. Where a new one can't be kept it is served nevertheless.
    pub(crate) fn pair(&self, wanted: &Wanted, now: SystemTime) -> Result<Pair, LocalError> {
        let _lock = self.store.lock()?;
        let names = self.root.covered(wanted);
        if let Some(pair) = self.kept_pair().filter(|pair| !needs_new(&pair.leaf, &names, now)) {
            return Ok(pair);
        }
        let Made { certificate, pem, key } =
            issue::leaf(&self.issuer, names, now).map_err(LocalError::Make)?;
        let file = format!("{}{pem}", key.serialize_pem());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let pair = Pair::new(vec![certificate], key).map_err(LocalError::Made)?;
        if let Err(error) = self.store.write(LEAF_FILE, file.as_bytes(), 0o600) {
            tracing::warn!(%error, "the new local certificate is served, but not kept");
        }
        Ok(pair)
    }

    /// A file that is no pair, or another authority's, counts as none: a new one costs nothing.
    fn kept_pair(&self) -> Option<Pair> {
        let file = self.store.read(LEAF_FILE).ok()??;
        let pair = Pair::from_pem(&file, &file).ok()?;
        let (_, parsed) = X509Certificate::from_der(pair.chain().first()?).ok()?;
        let issuer = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref(),
            _ => None,
        });
        (issuer?.0 == self.root.key_identifier).then_some(pair)
    }
}

/// Whether a kept certificate has to be replaced: a wanted name is missing, or a third of its life is left. One made while
/// the clock was ahead is not valid yet, and is replaced as well; a clock that was never set judges nothing.
pub(crate) fn needs_new(leaf: &Leaf, wanted: &[String], now: SystemTime) -> bool {
    let due = leaf.not_after.checked_sub(leaf.lifetime() / 3).unwrap_or(leaf.not_after);
    let untimely = now < leaf.not_before || now >= due;
    (root::is_plausible(now) && untimely) || wanted.iter().any(|name| !leaf.names.contains(name))
}

fn keep(store: &Store) -> Result<(Kept, Option<Notice>), LocalError> {
    let certificate = store.read(ROOT_FILE)?;
    let (key, notice) = store.read_secret(KEY_FILE)?;
    let Some(certificate) = certificate else { return Ok((Kept::Nothing, notice)) };
    let kept = match (Root::from_pem(&certificate), key) {
        (Err(error), _) => Kept::Unusable(None, format!("{ROOT_FILE}: {error}")),
        (Ok(root), None) => Kept::Unusable(Some(root), format!("{KEY_FILE} is missing")),
        (Ok(root), Some(pem)) => match read_key(&pem, &root) {
            Ok(key) => Kept::Authority(root, key),
            Err(what) => Kept::Unusable(Some(root), format!("{KEY_FILE}: {what}")),
        },
    };
    Ok((kept, notice))
}

fn read_key(pem: &[u8], root: &Root) -> Result<KeyPair, String> {
    let pem = std::str::from_utf8(pem).map_err(|error| error.to_string())?;
    let key = KeyPair::from_pem(pem).map_err(|error| error.to_string())?;
    if key.subject_public_key_info() == root.public_key {
        Ok(key)
    } else {
        Err(format!("it is of another certificate than {ROOT_FILE}"))
    }
}

/// The key is written first: a crash between the two leaves a key without a certificate, which nobody can have trusted, and
/// which counts as nothing.
fn make(
    store: &Store,
    wanted: &Wanted,
    now: SystemTime,
) -> Result<(Root, Issuer<'static, KeyPair>), LocalError> {
    let constraints = Constraints::around(wanted.configured.iter().chain(&wanted.found));
    let Made { certificate, pem, key } =
        issue::authority(&wanted.host, &constraints, now).map_err(LocalError::Make)?;
    let issuer_key = KeyPair::from_pem(&key.serialize_pem()).map_err(LocalError::Make)?;
    let issuer = Issuer::from_ca_cert_der(&certificate, issuer_key).map_err(LocalError::Make)?;
    store.write(KEY_FILE, key.serialize_pem().as_bytes(), 0o600)?;
    store.write(ROOT_FILE, pem.as_bytes(), 0o644)?;
    let root = Root::new(certificate).expect("a root as this very code writes it");
    Ok((root, issuer))
}

/// The root and those it has replaced, without making or changing anything. `None`: there is none yet.
pub(crate) fn roots(data_dir: &Path) -> Result<(Option<Root>, Vec<Root>), LocalError> {
    let store = Store::new(data_dir);
    let current = store.read(ROOT_FILE)?.and_then(|pem| Root::from_pem(&pem).ok());
    let former =
        store.named(FORMER).into_iter().filter_map(|path| Root::from_pem(&std::fs::read(path).ok()?).ok());
    Ok((current, former.collect()))
}

/// One as it would be made, and is not: for saying what would be done with it.
pub(crate) fn imagined(wanted: &Wanted, now: SystemTime) -> Result<Root, LocalError> {
    let constraints = Constraints::around(wanted.configured.iter().chain(&wanted.found));
    let made = issue::authority(&wanted.host, &constraints, now).map_err(LocalError::Make)?;
    Ok(Root::new(made.certificate).expect("a root as this very code writes it"))
}

/// Where the root lies, to be handed to other machines.
pub(crate) fn root_file(data_dir: &Path) -> PathBuf {
    Store::new(data_dir).path(ROOT_FILE)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod verifiers;
