//! The API server of the current context.

use std::error::Error as _;
use std::time::Duration;

use anyhow::Context as _;
use kube::core::Status;
use kube::{Client, Config};
use tokio::time::timeout;

/// The longest that one call may take, to the API server or through it into a pod.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// A client, and the namespace of the current context.
pub(crate) async fn connect() -> anyhow::Result<(Client, String)> {
    let mut config = Config::infer().await.map_err(|error| {
        // A cluster may be named in two places; a user has the kubeconfig, whose error says why it failed.
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        anyhow::anyhow!("no cluster: {why}")
    })?;
    config.connect_timeout = Some(CALL);
    config.read_timeout = Some(6 * CALL);
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config)?, namespace))
}

/// What a call answers within its time.
pub(crate) async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> anyhow::Result<T> {
    Ok(timeout(CALL, call).await.with_context(|| format!("the API server did not answer in {CALL:?}"))??)
}

/// Why the API server refused, if that is what went wrong.
pub(crate) fn refusal(error: &anyhow::Error) -> Option<&Status> {
    match error.downcast_ref() {
        Some(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}
