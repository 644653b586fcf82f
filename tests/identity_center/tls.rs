//! Certificates made at run time, good ones and bad ones, and the TLS server that shows them.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};

/// What the server shows to a client that trusts the CA of [`Identity::ca_pem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, `127.0.0.1` and the extra names.
    Good,
    /// Good until the end of 2020.
    Expired,
    /// For `elsewhere.example` alone.
    WrongHost,
    /// Signed by its own key.
    SelfSigned,
    /// Good in itself, from a CA that the client does not know.
    UnknownCa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersions {
    Both,
    Only12,
    Only13,
}

/// A TLS server's settings and the CA a client is told to trust.
#[derive(Clone)]
pub struct Identity {
    pub config: Arc<ServerConfig>,
    pub ca_pem: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    pub fn new(
        certificate: Certificate,
        extra_names: &[String],
        versions: TlsVersions,
    ) -> Identity {
        let (issuer, ca_pem) = authority("embedded Identity Center CA");
        let key = KeyPair::generate().expect("the system has random numbers");

        let mut names = vec!["localhost".to_string(), "127.0.0.1".to_string()];
        names.extend_from_slice(extra_names);
        if certificate == Certificate::WrongHost {
            names = vec!["elsewhere.example".to_string()];
        }
        let mut params = CertificateParams::new(names).expect("the names are plain ASCII");
        params
            .distinguished_name
            .push(DnType::CommonName, "embedded Identity Center");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = match certificate {
            Certificate::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31)),
            _ => (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1)),
        };

        let signed = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            Certificate::UnknownCa => params.signed_by(&key, &authority("some other CA").0),
            _ => params.signed_by(&key, &issuer),
        }
        .expect("a fresh P-256 key can sign");

        let versions = match versions {
            TlsVersions::Both => vec![&TLS13, &TLS12],
            TlsVersions::Only12 => vec![&TLS12],
            TlsVersions::Only13 => vec![&TLS13],
        };
        let private_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions)
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], private_key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Identity {
            config: Arc::new(config),
            ca_pem,
        }
    }
}

/// A certificate authority with a fresh key, and its own certificate as PEM.
fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("the system has random numbers");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    let pem = params
        .self_signed(&key)
        .expect("a fresh P-256 key can sign")
        .pem();
    (Issuer::new(params, key), pem)
}
