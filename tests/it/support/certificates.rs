//! Certificates that a test makes for itself: an authority, and pairs that it signed.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber,
};
use tempfile::TempDir;

/// An authority with a folder of its own.
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Authority {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Each has a name of its own, or one would be taken for the other.
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        fs::write(folder.path().join("ca.crt"), issuer.pem()).expect("written");
        Authority { folder, issuer }
    }

    /// The file of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// A folder for the test, in which its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Signs a certificate for `names`, host names or IP addresses, and writes it to files that begin with `name`.
    pub fn pair(&self, name: &str, names: &[&str]) -> Pair {
        self.pair_of(name, params(names))
    }

    /// Signs a certificate for the workload with this URI.
    pub fn workload(&self, name: &str, uri: &str) -> Pair {
        let mut params = params(&[]);
        let uri = uri.try_into().expect("ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
        self.pair_of(name, params)
    }

    /// The same, of one that is past its time.
    pub fn expired(&self, name: &str, names: &[&str]) -> Pair {
        let mut params = params(names);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.pair_of(name, params)
    }

    /// Signs the list of the certificates with these names that are revoked, and writes it to `revoked.pem`.
    pub fn revoke(&self, names: &[&str]) -> PathBuf {
        let revoked = |name: &&str| RevokedCertParams {
            serial_number: serial(name),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(names.len() as u64 + 1),
            issuing_distribution_point: None,
            revoked_certs: names.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("signed");
        let path = self.folder.path().join("revoked.pem");
        // In one step: what is half written is a mistake.
        let written = path.with_extension("new");
        fs::write(&written, list.pem().expect("PEM")).expect("written");
        fs::rename(written, &path).expect("renamed");
        path
    }

    fn pair_of(&self, name: &str, mut params: CertificateParams) -> Pair {
        params.serial_number = Some(serial(name));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let [cert, path] = ["crt", "key"].map(|end| self.folder.path().join(format!("{name}.{end}")));
        fs::write(&cert, certificate.pem()).expect("written");
        fs::write(&path, key.serialize_pem()).expect("written");
        Pair { cert, key: path }
    }
}

/// The serial number of the certificate in files that begin with `name`.
fn serial(name: &str) -> SerialNumber {
    // 20 bytes at most.
    SerialNumber::from_slice(&name.as_bytes()[..name.len().min(20)])
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("good names")
}
