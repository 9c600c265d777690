//! The certificate that is served, where it comes from, and what becomes of it.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::certificate::{Challenges, Edge, Pair, Resolver, stand_in};
use crate::config::Config;
use crate::types::{Text, text};

/// One for the process, where https is served at all.
pub(crate) struct Certificates {
    edge: Edge,
}

impl Certificates {
    /// With what can be served at once.
    pub(crate) fn open(config: &Config) -> Result<Self, Text> {
        let pair = first(config)?;
        let resolver = Resolver::new(pair, Arc::new(Challenges::default()));
        let edge = Edge::new(resolver).map_err(|error| unusable(&error))?;
        Ok(Self { edge })
    }

    pub(crate) fn challenges(&self) -> Arc<Challenges> {
        self.edge.resolver().challenges().clone()
    }

    pub(crate) fn server_config(&self, config: &Config) -> Result<Arc<ServerConfig>, Text> {
        self.edge.server_config(config.tls.min_version).map_err(|error| unusable(&error))
    }

    /// A reload has brought another configuration.
    pub(crate) fn change(&self, _config: &Config) {}
}

fn first(config: &Config) -> Result<Pair, Text> {
    let names: Vec<String> = config.site.names.iter().map(|name| name.host.clone()).collect();
    stand_in(&names).map_err(|error| error.text())
}

fn unusable(error: &rustls::Error) -> Text {
    text!("TLS can't be set up: {error}", "无法建立 TLS:{error}")
}
