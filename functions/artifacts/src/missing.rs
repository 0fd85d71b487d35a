//! Failures of the conversation crate as problems.

use sequent_conversation::{Error as RunError, projects::Error as ProjectError};
use sequent_http::Problem;

pub(crate) fn run(error: RunError) -> Problem {
    match error {
        RunError::NotFound => Problem::not_found("There is no run with this id."),
        RunError::Data(error) => error.into(),
        error => Problem::unavailable(error),
    }
}

pub(crate) fn project(error: ProjectError) -> Problem {
    match error {
        ProjectError::NotFound => Problem::not_found("There is no project with this id."),
        ProjectError::Data(error) => error.into(),
        error => Problem::unavailable(error),
    }
}
