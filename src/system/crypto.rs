//! The cryptography of TLS: the parts of *ring* that AWS, public authorities and inspecting proxies use.
//!
//! A provider of our own, because whatever rustls's default one names is linked. Sizes of a program that sends one
//! request (Linux x86-64, glibc, plain `cargo build --release`; one that does nothing has 285 kB):
//!
//! | | kB |
//! |---|---|
//! | this provider | 1,283 |
//! | the default provider of rustls | 1,403 |
//! | this one with ChaCha20-Poly1305 | 1,339 |
//! | this one with what rustls has for QUIC | 1,288 |
//! | this one without TLS 1.2 | 1,277 |
//! | this one without P-384 as a key exchange | 1,280 |
//! | no texts for rare TLS errors | 1,283 |
//!
//! So ChaCha20, which no server we talk to requires, is left out, and TLS 1.2, which some proxies stop at, is not.
//! Certificates signed with Ed25519 or P-521 are not accepted either: no public authority issues them.

use std::sync::Arc;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::alg_id::{self, ECDSA_P256, ECDSA_P384, RSA_ENCRYPTION};
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm,
};
use rustls::sign::SigningKey;
use rustls::{CipherSuiteCommon, SignatureScheme, SupportedCipherSuite, Tls13CipherSuite};

/// What `ClientConfig` is built with.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            SupportedCipherSuite::Tls13(&TLS13_AES_128_GCM),
            SupportedCipherSuite::Tls13(&TLS13_AES_256_GCM),
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        // P-256 is the group that every server of TLS 1.3 must have (RFC 8446, section 9.1); X25519 would cost 9 kB more.
        kx_groups: vec![kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: WebPkiSupportedAlgorithms {
            all: VERIFIERS,
            mapping: SCHEMES,
        },
        secure_random: &Ring,
        key_provider: &Ring,
    }
}

/// rustls can do QUIC; a suite that says it cannot lets the linker drop that.
static TLS13_AES_128_GCM: Tls13CipherSuite = without_quic(&cipher_suite::TLS13_AES_128_GCM_SHA256);
static TLS13_AES_256_GCM: Tls13CipherSuite = without_quic(&cipher_suite::TLS13_AES_256_GCM_SHA384);

const fn without_quic(suite: &SupportedCipherSuite) -> Tls13CipherSuite {
    let SupportedCipherSuite::Tls13(suite) = suite else {
        panic!("a suite of TLS 1.2");
    };
    Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: suite.common.confidentiality_limit,
        },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: suite.aead_alg,
        quic: None,
    }
}

/// Random numbers from the system, and no private keys: there are no client certificates.
#[derive(Debug)]
struct Ring;

impl SecureRandom for Ring {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), buffer)
            .map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ring {
    fn load_private_key(
        &self,
        _key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("no private keys".to_string()))
    }
}

/// One way to sign certificates and handshakes, checked by *ring*.
#[derive(Debug)]
struct Verifier {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    ring: &'static dyn VerificationAlgorithm,
}

impl SignatureVerificationAlgorithm for Verifier {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.ring, key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

const fn verifier(
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    ring: &'static dyn VerificationAlgorithm,
) -> Verifier {
    Verifier {
        key,
        signature,
        ring,
    }
}

static P256_SHA256: Verifier = verifier(
    ECDSA_P256,
    alg_id::ECDSA_SHA256,
    &signature::ECDSA_P256_SHA256_ASN1,
);
static P256_SHA384: Verifier = verifier(
    ECDSA_P256,
    alg_id::ECDSA_SHA384,
    &signature::ECDSA_P256_SHA384_ASN1,
);
static P384_SHA256: Verifier = verifier(
    ECDSA_P384,
    alg_id::ECDSA_SHA256,
    &signature::ECDSA_P384_SHA256_ASN1,
);
static P384_SHA384: Verifier = verifier(
    ECDSA_P384,
    alg_id::ECDSA_SHA384,
    &signature::ECDSA_P384_SHA384_ASN1,
);
static PSS_SHA256: Verifier = verifier(
    RSA_ENCRYPTION,
    alg_id::RSA_PSS_SHA256,
    &signature::RSA_PSS_2048_8192_SHA256,
);
static PSS_SHA384: Verifier = verifier(
    RSA_ENCRYPTION,
    alg_id::RSA_PSS_SHA384,
    &signature::RSA_PSS_2048_8192_SHA384,
);
static PSS_SHA512: Verifier = verifier(
    RSA_ENCRYPTION,
    alg_id::RSA_PSS_SHA512,
    &signature::RSA_PSS_2048_8192_SHA512,
);
static PKCS1_SHA256: Verifier = verifier(
    RSA_ENCRYPTION,
    alg_id::RSA_PKCS1_SHA256,
    &signature::RSA_PKCS1_2048_8192_SHA256,
);
static PKCS1_SHA384: Verifier = verifier(
    RSA_ENCRYPTION,
    alg_id::RSA_PKCS1_SHA384,
    &signature::RSA_PKCS1_2048_8192_SHA384,
);
static PKCS1_SHA512: Verifier = verifier(
    RSA_ENCRYPTION,
    alg_id::RSA_PKCS1_SHA512,
    &signature::RSA_PKCS1_2048_8192_SHA512,
);

/// The PKCS #1 ones with the parameters of the algorithm left out, which RFC 4055, section 5, tells everyone to accept: the
/// object identifier 1.2.840.113549.1.1.11 to 13 alone.
const fn without_parameters(last: u8) -> [u8; 11] {
    [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last,
    ]
}

static PKCS1_SHA256_BARE: Verifier = verifier(
    RSA_ENCRYPTION,
    AlgorithmIdentifier::from_slice(&without_parameters(11)),
    &signature::RSA_PKCS1_2048_8192_SHA256,
);
static PKCS1_SHA384_BARE: Verifier = verifier(
    RSA_ENCRYPTION,
    AlgorithmIdentifier::from_slice(&without_parameters(12)),
    &signature::RSA_PKCS1_2048_8192_SHA384,
);
static PKCS1_SHA512_BARE: Verifier = verifier(
    RSA_ENCRYPTION,
    AlgorithmIdentifier::from_slice(&without_parameters(13)),
    &signature::RSA_PKCS1_2048_8192_SHA512,
);

static VERIFIERS: &[&dyn SignatureVerificationAlgorithm] = &[
    &P256_SHA256,
    &P256_SHA384,
    &P384_SHA256,
    &P384_SHA384,
    &PSS_SHA256,
    &PSS_SHA384,
    &PSS_SHA512,
    &PKCS1_SHA256,
    &PKCS1_SHA384,
    &PKCS1_SHA512,
    &PKCS1_SHA256_BARE,
    &PKCS1_SHA384_BARE,
    &PKCS1_SHA512_BARE,
];

/// In TLS 1.2 the scheme leaves the curve open: every verifier of a scheme is tried. In TLS 1.3 only the first is.
static SCHEMES: &[(SignatureScheme, &[&dyn SignatureVerificationAlgorithm])] = &[
    (
        SignatureScheme::ECDSA_NISTP384_SHA384,
        &[&P384_SHA384, &P256_SHA384],
    ),
    (
        SignatureScheme::ECDSA_NISTP256_SHA256,
        &[&P256_SHA256, &P384_SHA256],
    ),
    (SignatureScheme::RSA_PSS_SHA512, &[&PSS_SHA512]),
    (SignatureScheme::RSA_PSS_SHA384, &[&PSS_SHA384]),
    (SignatureScheme::RSA_PSS_SHA256, &[&PSS_SHA256]),
    (SignatureScheme::RSA_PKCS1_SHA512, &[&PKCS1_SHA512]),
    (SignatureScheme::RSA_PKCS1_SHA384, &[&PKCS1_SHA384]),
    (SignatureScheme::RSA_PKCS1_SHA256, &[&PKCS1_SHA256]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_checked_as_rustls_does_except_for_ed25519() {
        type Verifiers = &'static [&'static dyn SignatureVerificationAlgorithm];
        let names = |verifiers: Verifiers| -> Vec<_> {
            verifiers
                .iter()
                .map(|one| (one.public_key_alg_id(), one.signature_alg_id()))
                .filter(|(key, _)| *key != alg_id::ED25519)
                .collect()
        };
        let sorted = |verifiers| {
            let mut texts: Vec<String> = names(verifiers)
                .iter()
                .map(|name| format!("{name:?}"))
                .collect();
            texts.sort();
            texts
        };
        let theirs = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        assert_eq!(sorted(VERIFIERS), sorted(theirs.all));
        let schemes = |mapping: &[(SignatureScheme, Verifiers)]| -> Vec<_> {
            mapping
                .iter()
                .filter(|(scheme, _)| *scheme != SignatureScheme::ED25519)
                .map(|(scheme, verifiers)| (*scheme, names(verifiers)))
                .collect()
        };
        assert_eq!(schemes(SCHEMES), schemes(theirs.mapping));
    }
}
