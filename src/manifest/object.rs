//! An object, and the kinds that pgk knows.

use std::any::Any;
use std::cell::Cell;
use std::iter;

use k8s_openapi::Resource;
use k8s_openapi::api::{
    admissionregistration, apps, autoscaling, batch, certificates, coordination, core, discovery, events,
    flowcontrol, networking, node, policy, rbac, resource, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use serde::de::value;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::Value;

use super::finding::Finding;
use crate::error::similar;

/// A document that is an object of a known kind.
pub(super) struct Object {
    pub(super) document: String,
    /// The path of the object in its document; empty if it is the whole of it.
    pub(super) within: String,
    pub(super) tree: Value,
    /// Whether somebody else than pgk may have written it, who leaves out what the API server fills in.
    pub(super) foreign: bool,
    /// What it was read as, once it was checked.
    pub(super) typed: Option<Box<dyn Any>>,
    api_version: String,
    kind: String,
    name: String,
    namespace: String,
}

impl Object {
    pub(super) fn new(document: &str, within: String, tree: Value, foreign: bool) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let metadata = |field| text(tree.get("metadata").and_then(|metadata| metadata.get(field)));
        Self {
            api_version: text(tree.get("apiVersion")),
            kind: text(tree.get("kind")),
            name: metadata("name"),
            namespace: metadata("namespace"),
            document: document.to_owned(),
            within,
            tree,
            foreign,
            typed: None,
        }
    }

    /// The object as its type, if it is of that type and was checked.
    pub(super) fn typed<T: Resource + 'static>(&self) -> Option<&T> {
        self.typed.as_ref()?.downcast_ref()
    }

    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn api_version(&self) -> &str {
        &self.api_version
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn document(&self) -> &str {
        &self.document
    }

    pub(super) fn finding(&self, path: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding {
            document: self.document.clone(),
            path: self.path(path),
            message: message.into(),
            help: None,
        }
    }

    /// The path in the document of what stands at `path` in the object.
    pub(super) fn path(&self, path: impl Into<String>) -> String {
        let within = &self.within;
        match path.into() {
            path if within.is_empty() => path,
            path if path.is_empty() || path.starts_with('[') => format!("{within}{path}"),
            path => format!("{within}.{path}"),
        }
    }
}

/// Whether there may be a kind of this name that pgk cannot know: one of a `CustomResourceDefinition`, whose group is a
/// domain. The domain of Kubernetes itself has kinds of others, too, but none that is named like its own.
pub(super) fn is_foreign_kind(api_version: &str, kind: &str) -> bool {
    let Some((group, _)) = api_version.split_once('/').filter(|(group, _)| group.contains('.')) else {
        return false;
    };
    let own_group =
        KINDS.iter().any(|(known, _)| known.split_once('/').is_some_and(|(known, _)| known == group));
    let named_alike = group.ends_with(".k8s.io") && KINDS.iter().any(|(_, known)| *known == kind);
    !kind.is_empty() && !own_group && !named_alike
}

/// Whether pgk knows this kind.
pub(super) fn is_known_kind(api_version: &str, kind: &str) -> bool {
    round_trip_of(api_version, kind).is_some()
}

/// The known kind that was probably meant by one that is not, and its version.
pub(super) fn meant_kind(api_version: &str, kind: &str) -> Option<String> {
    let meant = similar(kind, KINDS.iter().map(|(_, name)| *name))?;
    // If a kind is in two groups, such as Event, take the one of this group.
    let group = |version: &str| version.rsplit_once('/').map(|(group, _)| group.to_owned());
    let mut named = KINDS.iter().filter(|(_, name)| *name == meant);
    let in_group = named.clone().rfind(|(version, _)| group(version) == group(api_version));
    let (version, _) = in_group.or_else(|| named.next_back())?;
    Some(format!("apiVersion `{version}`, kind `{meant}`"))
}

/// Reads a tree as a type, and gives what that type makes of it.
pub(super) type RoundTrip = fn(&Value) -> serde_json::Result<(Box<dyn Any>, Value)>;

fn round_trip<T: DeserializeOwned + Serialize + 'static>(
    tree: &Value,
) -> serde_json::Result<(Box<dyn Any>, Value)> {
    let typed = T::deserialize(tree)?;
    let known = serde_json::to_value(&typed)?;
    Ok((Box::new(typed), known))
}

/// The fields that a type has where `steps` lead.
fn fields_in<T: DeserializeOwned>(steps: &[Option<&str>]) -> &'static [&'static str] {
    let fields = Cell::new(&[][..]);
    // It never produces a value: it only records the fields, and fails.
    drop(T::deserialize(Place { steps, fields: &fields }));
    fields.get()
}

/// What a type is made to read, so that it says which fields it has somewhere.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// The keys that lead there; `None` is an item of a list.
    steps: &'p [Option<&'p str>],
    fields: &'p Cell<&'static [&'static str]>,
}

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let Some((step, steps)) = self.steps.split_first() else {
            return Err(value::Error::custom("nothing"));
        };
        let below = iter::once(Place { steps, ..self });
        match step {
            Some(key) => visitor.visit_map(value::MapDeserializer::new(iter::once(*key).zip(below))),
            None => visitor.visit_seq(value::SeqDeserializer::new(below)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if self.steps.is_empty() {
            self.fields.set(fields);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, value::Error> for Place<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The kinds that are known: the only list of them.
macro_rules! kinds {
    ($($kind:ty),+ $(,)?) => {
        const KINDS: &[(&str, &str)] = &[$((<$kind as Resource>::API_VERSION, <$kind as Resource>::KIND)),+];

        pub(super) fn round_trip_of(api_version: &str, kind: &str) -> Option<RoundTrip> {
            $(if api_version == <$kind as Resource>::API_VERSION && kind == <$kind as Resource>::KIND {
                return Some(round_trip::<$kind>);
            })+
            None
        }

        /// The fields that an object of a kind has where `steps` lead; none where that is no structure.
        pub(super) fn fields_of(api_version: &str, kind: &str, steps: &[Option<&str>]) -> &'static [&'static str] {
            $(if api_version == <$kind as Resource>::API_VERSION && kind == <$kind as Resource>::KIND {
                return fields_in::<$kind>(steps);
            })+
            &[]
        }
    };
}

kinds![
    core::v1::Binding,
    core::v1::ConfigMap,
    core::v1::Endpoints,
    core::v1::Event,
    core::v1::LimitRange,
    core::v1::Namespace,
    core::v1::Node,
    core::v1::PersistentVolume,
    core::v1::PersistentVolumeClaim,
    core::v1::Pod,
    core::v1::PodTemplate,
    core::v1::ReplicationController,
    core::v1::ResourceQuota,
    core::v1::Secret,
    core::v1::Service,
    core::v1::ServiceAccount,
    admissionregistration::v1alpha1::MutatingAdmissionPolicy,
    admissionregistration::v1alpha1::MutatingAdmissionPolicyBinding,
    admissionregistration::v1beta1::ValidatingAdmissionPolicy,
    admissionregistration::v1beta1::ValidatingAdmissionPolicyBinding,
    admissionregistration::v1::MutatingWebhookConfiguration,
    admissionregistration::v1::ValidatingAdmissionPolicy,
    admissionregistration::v1::ValidatingAdmissionPolicyBinding,
    admissionregistration::v1::ValidatingWebhookConfiguration,
    apiextensions::v1::CustomResourceDefinition,
    apiregistration::v1::APIService,
    apps::v1::ControllerRevision,
    apps::v1::DaemonSet,
    apps::v1::Deployment,
    apps::v1::ReplicaSet,
    apps::v1::StatefulSet,
    autoscaling::v1::HorizontalPodAutoscaler,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::CronJob,
    batch::v1::Job,
    certificates::v1alpha1::ClusterTrustBundle,
    certificates::v1beta1::ClusterTrustBundle,
    certificates::v1::CertificateSigningRequest,
    coordination::v1alpha2::LeaseCandidate,
    coordination::v1beta1::LeaseCandidate,
    coordination::v1::Lease,
    discovery::v1::EndpointSlice,
    events::v1::Event,
    flowcontrol::v1::FlowSchema,
    flowcontrol::v1::PriorityLevelConfiguration,
    networking::v1beta1::IPAddress,
    networking::v1beta1::ServiceCIDR,
    networking::v1::IPAddress,
    networking::v1::Ingress,
    networking::v1::IngressClass,
    networking::v1::NetworkPolicy,
    networking::v1::ServiceCIDR,
    node::v1::RuntimeClass,
    policy::v1::PodDisruptionBudget,
    rbac::v1::ClusterRole,
    rbac::v1::ClusterRoleBinding,
    rbac::v1::Role,
    rbac::v1::RoleBinding,
    resource::v1beta1::DeviceClass,
    resource::v1beta1::ResourceClaim,
    resource::v1beta1::ResourceClaimTemplate,
    resource::v1beta1::ResourceSlice,
    resource::v1beta2::DeviceClass,
    resource::v1beta2::ResourceClaim,
    resource::v1beta2::ResourceClaimTemplate,
    resource::v1beta2::ResourceSlice,
    scheduling::v1::PriorityClass,
    storage::v1beta1::VolumeAttributesClass,
    storage::v1::CSIDriver,
    storage::v1::CSINode,
    storage::v1::CSIStorageCapacity,
    storage::v1::StorageClass,
    storage::v1::VolumeAttachment,
];
