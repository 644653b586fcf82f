//! Gets tokens and role credentials through the AWS SDK for Rust, as the lines of JSON on standard input ask.
//!
//! The SDK knows no setting for a CA bundle; it takes one from the program that uses it, as here.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, token::ProvideToken};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tinyjson::JsonValue;

type Members = HashMap<String, JsonValue>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let http = http_client()?;
    for line in io::stdin().lock().lines() {
        let asked: Members = line?.parse::<JsonValue>()?.try_into()?;
        let (name, text) = match answer(&asked, http.clone()).await {
            Ok(told) => told,
            Err(error) => ("error", error.to_string()),
        };
        let told = JsonValue::Object(HashMap::from([(name.to_string(), JsonValue::String(text))]));
        println!("{}", told.stringify()?);
        io::stdout().flush()?;
    }
    Ok(())
}

fn http_client() -> Result<SharedHttpClient, Box<dyn Error>> {
    let bundle = std::fs::read(std::env::var("AWS_CA_BUNDLE")?)?;
    let context = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(bundle))
        .build()?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}

/// A new configuration each time, and so a new token provider: one waits 30 s between two refreshes.
async fn answer(
    asked: &Members,
    http: SharedHttpClient,
) -> Result<(&'static str, String), Box<dyn Error>> {
    let text = |name: &str| {
        asked
            .get(name)
            .and_then(|value| value.get::<String>())
            .cloned()
    };
    if let Some(delay) = asked.get("delay").and_then(|value| value.get::<f64>()) {
        tokio::time::sleep(Duration::from_secs_f64(*delay)).await;
    }
    let config: SdkConfig = aws_config::defaults(BehaviorVersion::latest())
        .profile_name(text("profile").ok_or("no profile")?)
        .http_client(http)
        .load()
        .await;
    if text("want").as_deref() == Some("token") {
        let provider = config.token_provider().ok_or("no token provider")?;
        let token = provider.provide_token().await.map_err(told)?;
        return Ok(("token", token.token().to_string()));
    }
    let provider = config
        .credentials_provider()
        .ok_or("no credentials provider")?;
    let credentials = provider.provide_credentials().await.map_err(told)?;
    Ok(("accessKeyId", credentials.access_key_id().to_string()))
}

/// The SDK's errors hide their causes behind `source()`.
fn told(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
