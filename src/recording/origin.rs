//! What a capture is made from: the recipe in the comment on its section, if it has one.
//!
//! A recipe contains only the name of a lesson or a scenario; [`Recipe`] checks that. So a file from outside can start
//! only a simulation of bounded size.

use crate::app::Registry;
use crate::capture::is_ours;
use crate::scenario::{Recipe, RecipeError};
use crate::socket::HostConfig;

/// What the comment on a capture is.
#[derive(Debug, Default)]
pub(crate) enum Origin {
    /// The capture is not from tcplab, or was taken on a device.
    #[default]
    Foreign,
    /// A recipe.
    Recipe(Box<Recipe>),
    /// It is marked as a recipe, but it cannot be run.
    Broken(#[cfg_attr(not(feature = "replay"), expect(dead_code, reason = "only `replay` tells why"))] String),
}

impl Origin {
    /// Reads the comment on the section.
    pub(crate) fn of(comment: Option<&str>, registry: &Registry) -> Self {
        let Some(text) = comment.filter(|text| is_ours(text)) else { return Self::Foreign };
        match Recipe::parse_with(text, registry) {
            Ok(recipe) => Self::Recipe(Box::new(recipe)),
            Err(RecipeError::Live | RecipeError::NoScenario) => Self::Foreign,
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}

/// The settings of the host at the vantage point.
pub(crate) fn host(recipe: &Recipe) -> Option<HostConfig> {
    let world = recipe.scenario().ok()?.build(recipe.seed()).ok()?;
    let host = world.find(recipe.vantage())?;
    Some(host.sys(|host| host.config().clone()))
}
