//! A setting is one block: what it means, its type, which is its check, its default, whose it is and what it becomes.
//! From a block come the field of the plan, the field of a layer, what holds at first, and what the JSON Schema says,
//! which `pgk schema`, `pgk explain` and `pgk init` read ([`super::settings`]).
//!
//! ```text
//! /// What it means.
//! name: Type                  Option<Type>, where it may stay unset
//!     = default,              as JSON
//!     otherwise "…",          what holds where there is no default
//!     example …,              a value, where the default is none
//!     for […],                the scenarios that have it; without, those of its section
//!     init true,              `pgk init` sets it, and only mentions the others
//!     becomes "…";            what pgk makes of it
//! ```
//!
//! The default of a section is laid over those of the settings in it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::types::Named;

/// A setting, or a section of several: how a layer writes it, and what that does to the plan.
pub(super) trait Setting {
    /// What a layer says of it.
    type Written;

    /// What holds at first.
    fn defaults() -> Json {
        Json::Null
    }

    /// Puts what a layer says over what holds.
    fn apply(&mut self, written: Self::Written);
}

impl<T: Setting<Written = T>> Setting for Option<T> {
    type Written = T;

    fn apply(&mut self, written: T) {
        *self = Some(written);
    }
}

/// They are merged by their names.
impl<K: Ord, V> Setting for BTreeMap<K, V> {
    type Written = Named<K, V>;

    fn apply(&mut self, Named(written): Named<K, V>) {
        self.extend(written);
    }
}

/// Adds what holds of `field` at first: `given`, over its `own`.
pub(super) fn add(all: &mut Map<String, Json>, field: &str, mut own: Json, given: Option<Json>) {
    match (&mut own, given) {
        (Json::Object(own), Some(Json::Object(given))) => own.extend(given),
        (_, Some(given)) => own = given,
        (_, None) => {}
    }
    if !own.is_null() {
        all.insert(field.replace('_', "-"), own);
    }
}

/// Declares a section: its type in the plan and its type in a layer.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident, in a layer $layer:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $type:ty
                $(= $default:tt)?
                $(, otherwise $otherwise:literal)?
                $(, example $example:tt)?
                $(, for $scenarios:expr)?
                $(, init $init:literal)?
                $(, becomes $becomes:literal)?;
            )*
        }
        $(besides {
            $(#[doc = $besides_doc:literal])*
            $besides:ident: $besides_type:ty
        })?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all(deserialize = "kebab-case"))]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $type,)*
            $($(#[doc = $besides_doc])* #[serde(skip)] pub $besides: $besides_type,)?
        }

        #[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
        pub(super) struct $layer {
            $(
                $(#[doc = $doc])*
                #[schemars(extend(
                    $("x-scenarios" = $scenarios,)?
                    $("default" = $default,)?
                    $("x-default" = $otherwise,)?
                    $("examples" = [$example],)?
                    $("x-init" = $init,)?
                    $("x-becomes" = $becomes,)?
                ))]
                $field: Option<<$type as $crate::config::section::Setting>::Written>,
            )*
        }

        impl $crate::config::section::Setting for $name {
            type Written = $layer;

            fn defaults() -> serde_json::Value {
                let mut all = serde_json::Map::new();
                $($crate::config::section::add(
                    &mut all,
                    stringify!($field),
                    <$type as $crate::config::section::Setting>::defaults(),
                    None$(.or(Some(serde_json::json!($default))))?,
                );)*
                all.into()
            }

            fn apply(&mut self, layer: $layer) {
                $(if let Some(written) = layer.$field {
                    $crate::config::section::Setting::apply(&mut self.$field, written);
                })*
            }
        }
    };
}

pub(super) use section;
