//! TLS on a port: a certificate and its key, read from files and found to belong together before anything binds.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::settings::Source;

/// What a port shows to prove who it is.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ServerTls")
    }
}

/// Why two files can't be used.
#[derive(Debug, thiserror::Error)]
enum TlsError {
    #[error("{0} can't be read: {1}")]
    Unreadable(String, #[source] std::io::Error),
    #[error("{0} holds no {1} in PEM form")]
    NoPem(String, &'static str),
    #[error("{0} and {1} don't belong together, or can't be used: {2}")]
    Unfit(String, String, #[source] rustls::Error),
}

impl ServerTls {
    /// The TLS of the settings `certificate` and `key`, each the path of a PEM file; none where neither is given. What is wrong with
    /// them is noted as one problem.
    pub fn read(source: &mut Source, certificate: &'static str, key: &'static str) -> Option<Self> {
        let paths = (source.text(certificate), source.text(key));
        let (of_certificate, of_key) = match paths {
            (None, None) => return None,
            (Some(of_certificate), Some(of_key)) => (of_certificate, of_key),
            (given, _) => {
                let (given, missing) = if given.is_some() { (certificate, key) } else { (key, certificate) };
                source
                    .problem(format!("{given} is given and {missing} is not: TLS needs both, and without it neither"));
                return None;
            }
        };
        let made = Self::from_files((certificate, of_certificate.into()), (key, of_key.into()));
        made.map_err(|error| source.problem(error.to_string())).ok()
    }

    fn from_files(certificate: (&str, PathBuf), key: (&str, PathBuf)) -> Result<Self, TlsError> {
        let named = |(name, path): &(&str, PathBuf)| format!("{name} ({})", path.display());
        let failed = |of: &(&str, PathBuf), what, error| match error {
            pem::Error::Io(cause) => TlsError::Unreadable(named(of), cause),
            _ => TlsError::NoPem(named(of), what),
        };
        let chain = CertificateDer::pem_file_iter(&certificate.1).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| failed(&certificate, "certificate", error))?;
        if chain.is_empty() {
            return Err(TlsError::NoPem(named(&certificate), "certificate"));
        }
        let secret = PrivateKeyDer::from_pem_file(&key.1).map_err(|error| failed(&key, "private key", error))?;
        let unfit = |error| TlsError::Unfit(named(&certificate), named(&key), error);
        // The provider by name: the process may have installed none yet.
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, secret).map_err(unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.0
    }
}

/// A client's side that takes any certificate, for a program that asks itself whether it is ready: nothing secret is said.
pub(crate) mod unverified {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

    use super::{Arc, CertificateDer, aws_lc_rs};

    #[derive(Debug)]
    struct AnyCertificate(WebPkiSupportedAlgorithms);

    impl ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signed, &self.0)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, &self.0)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_schemes()
        }
    }

    /// The client's side.
    pub(crate) fn client() -> Result<tokio_rustls::TlsConnector, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Arc::new(config).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Variable;

    const VARIABLES: &[Variable] =
        &[Variable::plain("CERT", "", "a path", "Certificate"), Variable::plain("KEY", "", "a path", "Key")];

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// What is said of these two files, which are left out where `None`.
    fn problem(certificate: Option<&str>, key: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: Option<&str>| {
            let path = folder.path().join(name);
            text.map(|text| {
                std::fs::write(&path, text).unwrap();
                path.to_str().unwrap().to_owned()
            })
        };
        let (certificate, key) = (file("cert.pem", certificate), file("key.pem", key));
        let environment = |name: &str| if name == "CERT" { certificate.clone() } else { key.clone() };
        let mut source =
            Source::from_parts(clap::Command::new("program"), VARIABLES, ["program"], environment).unwrap();
        let tls = ServerTls::read(&mut source, "CERT", "KEY");
        let said = source.finish().err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(tls.is_some(), said.is_empty() && certificate.is_some());
        said
    }

    #[test]
    fn only_files_that_belong_together_are_taken() {
        let ((certificate, key), (_, other_key)) = (pair(), pair());
        assert_eq!(problem(None, None), "");
        assert_eq!(problem(Some(&certificate), Some(&key)), "");
        let check = |certificate, key, said: &[&str]| {
            let problem = problem(certificate, key);
            assert!(said.iter().all(|part| problem.contains(part)), "{problem}");
        };
        check(Some(&certificate), None, &["CERT is given and KEY is not"]);
        check(None, Some(&key), &["KEY is given and CERT is not"]);
        check(
            Some(&certificate),
            Some(&other_key),
            &["CERT (", "cert.pem) and KEY (", "key.pem) don't belong together"],
        );
        check(Some(&key), Some(&key), &["CERT (", "holds no certificate in PEM form"]);
        check(Some(&certificate), Some(&certificate), &["KEY (", "holds no private key in PEM form"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let files = (("CERT", PathBuf::from("/no/such/cert.pem")), ("KEY", PathBuf::from("/no/such/key.pem")));
        let said = ServerTls::from_files(files.0, files.1).unwrap_err().to_string();
        assert!(said.starts_with("CERT (/no/such/cert.pem) can't be read: "), "{said}");
    }
}
