//! What is known about a model while it runs. Written by whoever watches it, read by the request path.

use std::sync::Arc;

/// The state that clients, the page and the queue act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelState {
    /// Started or restarting: requests wait in the queue.
    Loading,
    /// It has answered a real request.
    Ready,
    /// An external server that can't be reached, or a child that was given up on: requests are refused at once.
    Down,
    /// Stopped by the operator: requests are refused at once.
    Stopped,
}

impl ModelState {
    /// The word in `/v1/models`, `/health/ready`, the admin socket and metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            ModelState::Loading => "loading",
            ModelState::Ready => "ready",
            ModelState::Down => "down",
            ModelState::Stopped => "stopped",
        }
    }
}

/// A program whose ways are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerKind {
    Vllm,
    LlamaCpp,
}

impl ServerKind {
    /// The word of the admin socket, which is that of `model.engine` too.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            ServerKind::Vllm => "vllm",
            ServerKind::LlamaCpp => "llama.cpp",
        }
    }
}

/// What a model server says of itself when asked; absent where it can't be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ModelFacts {
    /// The names it gives itself, in its order.
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) context_tokens: Option<u32>,
    pub(crate) takes_images: Option<bool>,
    /// What program it is.
    pub(crate) server: Option<ServerKind>,
    /// Of that program, as it writes it.
    pub(crate) version: Option<Arc<str>>,
}
