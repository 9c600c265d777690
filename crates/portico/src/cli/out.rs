//! The one place that prints. Data goes to standard output, talk to standard error.

use std::io::{ErrorKind, IsTerminal, Write};

use super::Exit;
use crate::config::Environment;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    pub(crate) data_colour: bool,
    pub(crate) talk_colour: bool,
}

impl Out {
    pub(crate) fn of_this_process(environment: &Environment) -> Self {
        Self {
            data_colour: environment.colour(std::io::stdout().is_terminal()),
            talk_colour: environment.colour(std::io::stderr().is_terminal()),
        }
    }

    /// What was asked for. A reader that has gone (`| head`) has had enough, which is no failure; a full disk is.
    pub(crate) fn data(self, text: &str) -> Exit {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Exit::Fine,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Fine,
            Err(error) => {
                self.talk(&format!("portico: standard output: {error}\n"));
                Exit::No
            }
        }
    }

    /// What is said beside it. Where nobody listens, nothing is lost.
    pub(crate) fn talk(self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _nobody_listens = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}
