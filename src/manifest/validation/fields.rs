//! What each field may hold, as the API server of Kubernetes v1.33 validates it: the paths of the fields, and a rule each.

use super::PORT_NAME;
use super::text::{
    is_address, is_amount_of_pod, is_annotation, is_api_version, is_below, is_cluster_ip, is_field_of_pod,
    is_file_name, is_file_of_pod, is_header, is_label, is_label_value, is_network, is_part, is_path_segment,
    is_percentage, is_port_name, is_qualified_name, is_resource, is_schedule, is_subdomain, is_time_zone,
    is_variable,
};

/// Where something stands, and what holds there.
pub(super) type Row = (&'static str, Rule);

/// What a field may hold. None of them but [`Rule::Needed`] minds that it is not there, or is empty.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// It must be there, and not be empty.
    Needed,
    /// It may be left out, and not be empty.
    Filled,
    /// One of these words.
    Words(&'static [&'static str]),
    /// The same, where an empty text is none of them either.
    Word(&'static [&'static str]),
    /// A text of this form, and what that is called.
    Text(fn(&str) -> bool, &'static str),
    /// A map whose keys are of this form.
    Keys(fn(&str) -> bool, &'static str),
    /// A whole number from the one to the other.
    Number(i64, i64),
    /// A quantity that is not below 0.
    Quantity,
    /// A quantity above 0.
    Positive,
    /// The number of a port, or its name.
    Port,
    /// A number that is not below 0, or a percentage of this form.
    Share(fn(&str) -> bool),
    /// A map with one of these keys, and with no second one of them.
    One(&'static [&'static str]),
}

use Rule::{Filled, Keys, Needed, Number, One, Port, Positive, Quantity, Share, Text, Word, Words};

const LABEL: Rule = Text(is_label, "an RFC 1123 label");
const SUBDOMAIN: Rule = Text(is_subdomain, "an RFC 1123 subdomain");
const QUALIFIED: Rule = Text(is_qualified_name, "a name such as example.com/name");
const FILE_NAME: Rule = Text(is_file_name, "a key: A-Z, a-z, 0-9, -, _ and .");
const FILE_NAMES: Rule = Keys(is_file_name, "of A-Z, a-z, 0-9, -, _ and .");
const BELOW: Rule = Text(is_below, "a path below the volume: no / first, no ..");
const RESOURCES: Rule =
    Keys(is_resource, "cpu, memory, ephemeral-storage, hugepages-SIZE or example.com/name");
const NOT_UP: Rule = Text(|path| path.split('/').all(|part| part != ".."), "a path without ..");
const LABEL_VALUE: Rule = Text(is_label_value, "a valid label");
const LABEL_KEYS: Rule = Keys(is_qualified_name, "a label's, such as example.com/name");
const SEGMENT: Rule = Text(is_path_segment, "a path segment");
const HEADER: Rule = Text(is_header, "an HTTP header: A-Z, a-z, 0-9 and -");
const AMOUNT_OF_POD: Rule = Text(is_amount_of_pod, "an amount such as limits.memory");
const ADDRESSES: Rule = Text(is_network, "a range of addresses such as 10.0.0.0/8");
/// What a `PersistentVolume` can be.
const VOLUMES: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];
const NATURAL: Rule = Number(0, i64::MAX);
const POSITIVE: Rule = Number(1, i64::MAX);
const PORT_NUMBER: Rule = Number(1, 65535);
const MODE: Rule = Number(0, 0o777);
const ID: Rule = Number(0, 0x7fff_ffff);
const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];
const PROTOCOL: Rule = Words(PROTOCOLS);
const EFFECT: Rule = Words(&["NoSchedule", "PreferNoSchedule", "NoExecute"]);
const ACCESS_MODE: Rule = Word(&["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]);
const VOLUME_MODE: Rule = Word(&["Filesystem", "Block"]);
const SECCOMP: Rule = Words(&["Localhost", "RuntimeDefault", "Unconfined"]);

/// Any object.
pub(super) const ANY: &[Row] = &[("metadata.namespace", LABEL)];

/// Where the specification of a pod stands in an object of this kind.
pub(super) fn pod_in(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("spec"),
        "PodTemplate" => Some("template.spec"),
        "CronJob" => Some("spec.jobTemplate.spec.template.spec"),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" | "Job" | "ReplicationController" => {
            Some("spec.template.spec")
        }
        _ => None,
    }
}

/// The specification of a pod, without its containers.
pub(super) const POD: &[Row] = &[
    ("containers", Needed),
    ("restartPolicy", Words(&["Always", "OnFailure", "Never"])),
    ("dnsPolicy", Words(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"])),
    ("activeDeadlineSeconds", ID),
    ("activeDeadlineSeconds", POSITIVE),
    ("serviceAccountName", SUBDOMAIN),
    ("nodeName", SUBDOMAIN),
    ("hostname", LABEL),
    ("subdomain", LABEL),
    ("priorityClassName", SUBDOMAIN),
    ("preemptionPolicy", Word(&["Never", "PreemptLowerPriority"])),
    ("hostAliases.[].ip", Needed),
    ("hostAliases.[].ip", Text(is_address, "an IP address")),
    ("hostAliases.[].hostnames.[]", Needed),
    ("hostAliases.[].hostnames.[]", SUBDOMAIN),
    ("tolerations.[].key", QUALIFIED),
    ("tolerations.[].value", LABEL_VALUE),
    ("tolerations.[].operator", Words(&["Equal", "Exists"])),
    ("tolerations.[].effect", EFFECT),
    ("readinessGates.[].conditionType", QUALIFIED),
    ("securityContext.runAsUser", ID),
    ("securityContext.runAsGroup", ID),
    ("securityContext.fsGroup", ID),
    ("securityContext.supplementalGroups.[]", ID),
    ("securityContext.fsGroupChangePolicy", Word(&["Always", "OnRootMismatch"])),
    ("securityContext.seccompProfile.type", Needed),
    ("securityContext.seccompProfile.type", SECCOMP),
    ("topologySpreadConstraints.[].maxSkew", POSITIVE),
    ("topologySpreadConstraints.[].minDomains", POSITIVE),
    ("topologySpreadConstraints.[].topologyKey", Needed),
    ("topologySpreadConstraints.[].whenUnsatisfiable", Needed),
    ("topologySpreadConstraints.[].whenUnsatisfiable", Words(&["DoNotSchedule", "ScheduleAnyway"])),
    ("affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution.[].weight", Number(1, 100)),
    ("affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", Needed),
    ("affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution.[].weight", Number(1, 100)),
    (
        "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution.[].podAffinityTerm.topologyKey",
        Needed,
    ),
    (
        "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution.[].podAffinityTerm.topologyKey",
        QUALIFIED,
    ),
    ("affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution.[].topologyKey", Needed),
    ("affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution.[].topologyKey", QUALIFIED),
    ("affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.[].weight", Number(1, 100)),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.[].podAffinityTerm.topologyKey",
        Needed,
    ),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.[].podAffinityTerm.topologyKey",
        QUALIFIED,
    ),
    ("affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution.[].topologyKey", Needed),
    ("affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution.[].topologyKey", QUALIFIED),
    ("volumes.[].name", Needed),
    ("volumes.[].name", LABEL),
    ("volumes.[].emptyDir.sizeLimit", Quantity),
    ("volumes.[].hostPath.path", Needed),
    ("volumes.[].hostPath.path", NOT_UP),
    (
        "volumes.[].hostPath.type",
        Words(&[
            "DirectoryOrCreate",
            "Directory",
            "FileOrCreate",
            "File",
            "Socket",
            "CharDevice",
            "BlockDevice",
        ]),
    ),
    ("volumes.[].persistentVolumeClaim.claimName", Needed),
    ("volumes.[].csi.driver", Needed),
    ("volumes.[].nfs.server", Needed),
    ("volumes.[].nfs.path", Needed),
    ("volumes.[].nfs.path", Text(|path| path.starts_with('/'), "an absolute path")),
    ("volumes.[].secret.secretName", Needed),
    ("volumes.[].secret.defaultMode", MODE),
    ("volumes.[].secret.items.[].key", Needed),
    ("volumes.[].secret.items.[].mode", MODE),
    ("volumes.[].secret.items.[].path", Needed),
    ("volumes.[].secret.items.[].path", BELOW),
    ("volumes.[].configMap.name", Needed),
    ("volumes.[].configMap.defaultMode", MODE),
    ("volumes.[].configMap.items.[].key", Needed),
    ("volumes.[].configMap.items.[].mode", MODE),
    ("volumes.[].configMap.items.[].path", Needed),
    ("volumes.[].configMap.items.[].path", BELOW),
    ("volumes.[].downwardAPI.defaultMode", MODE),
    ("volumes.[].downwardAPI.items.[].path", Needed),
    ("volumes.[].downwardAPI.items.[].path", BELOW),
    ("volumes.[].downwardAPI.items.[]", One(&["fieldRef", "resourceFieldRef"])),
    ("volumes.[].downwardAPI.items.[].fieldRef.fieldPath", Needed),
    (
        "volumes.[].downwardAPI.items.[].fieldRef.fieldPath",
        Text(is_file_of_pod, "a field of the pod that a file may hold"),
    ),
    ("volumes.[].downwardAPI.items.[].resourceFieldRef.resource", AMOUNT_OF_POD),
    ("volumes.[].downwardAPI.items.[].mode", MODE),
    ("volumes.[].projected.defaultMode", MODE),
    ("volumes.[].projected.sources.[].secret.name", Needed),
    ("volumes.[].projected.sources.[].secret.items.[].key", Needed),
    ("volumes.[].projected.sources.[].secret.items.[].mode", MODE),
    ("volumes.[].projected.sources.[].secret.items.[].path", Needed),
    ("volumes.[].projected.sources.[].secret.items.[].path", BELOW),
    ("volumes.[].projected.sources.[].configMap.name", Needed),
    ("volumes.[].projected.sources.[].configMap.items.[].key", Needed),
    ("volumes.[].projected.sources.[].configMap.items.[].mode", MODE),
    ("volumes.[].projected.sources.[].configMap.items.[].path", Needed),
    ("volumes.[].projected.sources.[].configMap.items.[].path", BELOW),
    ("volumes.[].projected.sources.[].serviceAccountToken.path", Needed),
    ("volumes.[].projected.sources.[].serviceAccountToken.path", BELOW),
    ("volumes.[].projected.sources.[].serviceAccountToken.expirationSeconds", Number(600, 1 << 32)),
    ("volumes.[].ephemeral.volumeClaimTemplate", Needed),
];

/// A container, also one that runs before the others.
pub(super) const CONTAINER: &[Row] = &[
    ("name", Needed),
    ("name", LABEL),
    ("image", Needed),
    ("imagePullPolicy", Words(&["Always", "IfNotPresent", "Never"])),
    ("terminationMessagePolicy", Words(&["File", "FallbackToLogsOnError"])),
    ("ports.[].name", Text(is_port_name, PORT_NAME)),
    ("ports.[].containerPort", PORT_NUMBER),
    ("ports.[].hostPort", Number(0, 65535)),
    ("ports.[].protocol", PROTOCOL),
    ("env.[].name", Needed),
    ("env.[].name", Text(is_variable, "the name of a variable: printable ASCII without =")),
    ("env.[].valueFrom", One(&["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"])),
    ("env.[].valueFrom.fieldRef.fieldPath", Needed),
    (
        "env.[].valueFrom.fieldRef.fieldPath",
        Text(is_field_of_pod, "a field of the pod that a variable may hold"),
    ),
    ("env.[].valueFrom.configMapKeyRef.name", Needed),
    ("env.[].valueFrom.configMapKeyRef.name", SUBDOMAIN),
    ("env.[].valueFrom.configMapKeyRef.key", Needed),
    ("env.[].valueFrom.configMapKeyRef.key", FILE_NAME),
    ("env.[].valueFrom.secretKeyRef.name", Needed),
    ("env.[].valueFrom.secretKeyRef.name", SUBDOMAIN),
    ("env.[].valueFrom.secretKeyRef.key", Needed),
    ("env.[].valueFrom.secretKeyRef.key", FILE_NAME),
    ("env.[].valueFrom.resourceFieldRef.resource", Needed),
    ("env.[].valueFrom.resourceFieldRef.resource", AMOUNT_OF_POD),
    ("envFrom.[]", One(&["configMapRef", "secretRef"])),
    ("envFrom.[].configMapRef.name", Needed),
    ("envFrom.[].configMapRef.name", SUBDOMAIN),
    ("envFrom.[].secretRef.name", Needed),
    ("envFrom.[].secretRef.name", SUBDOMAIN),
    ("volumeMounts.[].name", Needed),
    ("volumeMounts.[].mountPath", Needed),
    ("volumeMounts.[].subPath", BELOW),
    ("volumeMounts.[].mountPropagation", Word(&["None", "HostToContainer", "Bidirectional"])),
    ("volumeDevices.[].name", Needed),
    ("volumeDevices.[].devicePath", Needed),
    ("resources.limits", RESOURCES),
    ("resources.limits.*", Quantity),
    ("resources.requests", RESOURCES),
    ("resources.requests.*", Quantity),
    ("securityContext.runAsUser", ID),
    ("securityContext.runAsGroup", ID),
    ("securityContext.procMount", Word(&["Default", "Unmasked"])),
    ("securityContext.seccompProfile.type", Needed),
    ("securityContext.seccompProfile.type", SECCOMP),
    ("lifecycle.postStart", One(&["exec", "httpGet", "tcpSocket", "sleep"])),
    ("lifecycle.postStart.exec.command", Needed),
    ("lifecycle.postStart.httpGet.port", Port),
    ("lifecycle.postStart.httpGet.scheme", Words(&["HTTP", "HTTPS"])),
    ("lifecycle.postStart.tcpSocket.port", Port),
    ("lifecycle.preStop", One(&["exec", "httpGet", "tcpSocket", "sleep"])),
    ("lifecycle.preStop.exec.command", Needed),
    ("lifecycle.preStop.httpGet.port", Port),
    ("lifecycle.preStop.httpGet.scheme", Words(&["HTTP", "HTTPS"])),
    ("lifecycle.preStop.tcpSocket.port", Port),
    ("livenessProbe.successThreshold", Number(0, 1)),
    ("livenessProbe.terminationGracePeriodSeconds", POSITIVE),
    ("startupProbe.successThreshold", Number(0, 1)),
    ("startupProbe.terminationGracePeriodSeconds", POSITIVE),
];

/// The fields that are probes.
pub(super) const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// A probe.
pub(super) const PROBE: &[Row] = &[
    ("", One(&["exec", "httpGet", "tcpSocket", "grpc"])),
    ("exec.command", Needed),
    ("httpGet.port", Port),
    ("httpGet.scheme", Words(&["HTTP", "HTTPS"])),
    ("httpGet.httpHeaders.[].name", Needed),
    ("httpGet.httpHeaders.[].name", HEADER),
    ("tcpSocket.port", Port),
    ("grpc.port", PORT_NUMBER),
    ("initialDelaySeconds", NATURAL),
    ("timeoutSeconds", NATURAL),
    ("periodSeconds", NATURAL),
    ("successThreshold", NATURAL),
    ("failureThreshold", NATURAL),
];

/// A claim of a volume, also in a template.
pub(super) const CLAIM: &[Row] = &[
    ("spec", Needed),
    ("spec.accessModes", Needed),
    ("spec.accessModes.[]", ACCESS_MODE),
    ("spec.volumeMode", VOLUME_MODE),
    ("spec.storageClassName", SUBDOMAIN),
    ("spec.resources", Needed),
    ("spec.resources.requests", Needed),
    ("spec.resources.requests.storage", Needed),
    ("spec.resources.requests.storage", Positive),
];

/// The name of a template of claims, which its volumes are called by.
pub(super) const CLAIM_NAME: &[Row] = &[("metadata.name", Needed), ("metadata.name", LABEL)];

const ROLE: &[Row] = &[("rules.[].verbs", Needed)];

const BINDING: &[Row] = &[
    ("roleRef.name", Needed),
    ("roleRef.name", SEGMENT),
    ("roleRef.kind", Word(&["Role", "ClusterRole"])),
    ("roleRef.apiGroup", Words(&["rbac.authorization.k8s.io"])),
    ("subjects.[].name", Needed),
    ("subjects.[].kind", Needed),
    ("subjects.[].kind", Words(&["ServiceAccount", "User", "Group"])),
];

/// What an object of this kind may hold, without its pods.
#[allow(clippy::too_many_lines)] // a table
pub(super) fn of_kind(api_version: &str, kind: &str) -> &'static [Row] {
    match kind {
        "ConfigMap" => &[("data", FILE_NAMES), ("binaryData", FILE_NAMES)],
        "Secret" => &[("data", FILE_NAMES), ("stringData", FILE_NAMES)],
        "Service" => &[
            ("spec", Needed),
            ("spec.selector", LABEL_KEYS),
            ("spec.selector.*", LABEL_VALUE),
            ("spec.type", Words(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"])),
            ("spec.sessionAffinity", Words(&["None", "ClientIP"])),
            ("spec.sessionAffinityConfig.clientIP.timeoutSeconds", Number(1, 86_400)),
            ("spec.externalTrafficPolicy", Words(&["Cluster", "Local"])),
            ("spec.internalTrafficPolicy", Word(&["Cluster", "Local"])),
            ("spec.ipFamilyPolicy", Word(&["SingleStack", "PreferDualStack", "RequireDualStack"])),
            ("spec.ipFamilies.[]", Words(&["IPv4", "IPv6"])),
            ("spec.clusterIP", Text(is_cluster_ip, "an IP address or None")),
            ("spec.externalIPs.[]", Text(is_address, "an IP address")),
            ("spec.externalName", SUBDOMAIN),
            ("spec.loadBalancerSourceRanges.[]", ADDRESSES),
            ("spec.ports.[].name", LABEL),
            ("spec.ports.[].port", PORT_NUMBER),
            ("spec.ports.[].targetPort", Number(0, 65535)),
            ("spec.ports.[].targetPort", Text(is_port_name, PORT_NAME)),
            ("spec.ports.[].nodePort", Number(0, 65535)),
            ("spec.ports.[].protocol", PROTOCOL),
        ],
        "PersistentVolumeClaim" => CLAIM,
        "PersistentVolume" => &[
            ("spec", Needed),
            ("spec", One(VOLUMES)),
            ("spec.hostPath.path", Needed),
            ("spec.hostPath.path", NOT_UP),
            ("spec.capacity", Keys(|key| key == "storage", "storage")),
            ("spec.accessModes", Needed),
            ("spec.accessModes.[]", ACCESS_MODE),
            ("spec.volumeMode", VOLUME_MODE),
            ("spec.capacity", Needed),
            ("spec.capacity.storage", Needed),
            ("spec.capacity.storage", Positive),
            ("spec.storageClassName", SUBDOMAIN),
            ("spec.persistentVolumeReclaimPolicy", Words(&["Retain", "Recycle", "Delete"])),
        ],
        "Deployment" => &[
            ("spec", Needed),
            ("spec.replicas", NATURAL),
            ("spec.minReadySeconds", NATURAL),
            ("spec.revisionHistoryLimit", NATURAL),
            ("spec.progressDeadlineSeconds", NATURAL),
            ("spec.strategy.type", Words(&["Recreate", "RollingUpdate"])),
            ("spec.strategy.rollingUpdate.maxUnavailable", Share(is_part)),
            ("spec.strategy.rollingUpdate.maxSurge", Share(is_percentage)),
        ],
        "ReplicaSet" | "ReplicationController" => &[
            ("spec", Needed),
            ("spec.replicas", NATURAL),
            ("spec.minReadySeconds", NATURAL),
            ("spec.template", Needed),
        ],
        "DaemonSet" => &[
            ("spec", Needed),
            ("spec.minReadySeconds", NATURAL),
            ("spec.revisionHistoryLimit", NATURAL),
            ("spec.updateStrategy.type", Words(&["OnDelete", "RollingUpdate"])),
            ("spec.updateStrategy.rollingUpdate.maxUnavailable", Share(is_part)),
            ("spec.updateStrategy.rollingUpdate.maxSurge", Share(is_part)),
        ],
        "StatefulSet" => &[
            ("spec", Needed),
            ("spec.replicas", NATURAL),
            ("spec.minReadySeconds", NATURAL),
            ("spec.serviceName", LABEL),
            ("spec.ordinals.start", NATURAL),
            ("spec.podManagementPolicy", Words(&["OrderedReady", "Parallel"])),
            ("spec.updateStrategy.type", Words(&["OnDelete", "RollingUpdate"])),
            ("spec.updateStrategy.rollingUpdate.partition", NATURAL),
            ("spec.updateStrategy.rollingUpdate.maxUnavailable", Share(is_part)),
            ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", Words(&["Retain", "Delete"])),
            ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", Words(&["Retain", "Delete"])),
        ],
        "Job" => &[
            ("spec", Needed),
            ("spec.parallelism", NATURAL),
            ("spec.completions", NATURAL),
            ("spec.backoffLimit", NATURAL),
            ("spec.activeDeadlineSeconds", NATURAL),
            ("spec.ttlSecondsAfterFinished", NATURAL),
            ("spec.completionMode", Word(&["NonIndexed", "Indexed"])),
            ("spec.podReplacementPolicy", Word(&["TerminatingOrFailed", "Failed"])),
            ("spec.template.spec.restartPolicy", Needed),
            ("spec.template.spec.restartPolicy", Words(&["OnFailure", "Never"])),
        ],
        "CronJob" => &[
            ("spec", Needed),
            ("spec.schedule", Needed),
            ("spec.timeZone", Filled),
            ("spec.timeZone", Text(is_time_zone, "a time zone such as Europe/Paris")),
            ("spec.jobTemplate.spec", Needed),
            ("spec.schedule", Text(is_schedule, "a schedule such as `0 1 * * 1-6`")),
            ("spec.concurrencyPolicy", Words(&["Allow", "Forbid", "Replace"])),
            ("spec.startingDeadlineSeconds", NATURAL),
            ("spec.successfulJobsHistoryLimit", NATURAL),
            ("spec.failedJobsHistoryLimit", NATURAL),
            ("spec.jobTemplate.spec.parallelism", NATURAL),
            ("spec.jobTemplate.spec.completions", NATURAL),
            ("spec.jobTemplate.spec.backoffLimit", NATURAL),
            ("spec.jobTemplate.spec.activeDeadlineSeconds", NATURAL),
            ("spec.jobTemplate.spec.ttlSecondsAfterFinished", NATURAL),
            ("spec.jobTemplate.spec.completionMode", Word(&["NonIndexed", "Indexed"])),
            ("spec.jobTemplate.spec.template.spec.restartPolicy", Needed),
            ("spec.jobTemplate.spec.template.spec.restartPolicy", Words(&["OnFailure", "Never"])),
        ],
        "HorizontalPodAutoscaler" => &[
            ("spec", Needed),
            ("spec.minReplicas", POSITIVE),
            ("spec.maxReplicas", POSITIVE),
            ("spec.scaleTargetRef.apiVersion", Needed),
            ("spec.scaleTargetRef.apiVersion", Text(is_api_version, "an apiVersion such as apps/v1")),
            ("spec.scaleTargetRef.kind", Needed),
            ("spec.scaleTargetRef.kind", SEGMENT),
            ("spec.scaleTargetRef.name", Needed),
            ("spec.scaleTargetRef.name", SEGMENT),
        ],
        "Ingress" => &[
            ("spec", Needed),
            ("spec.ingressClassName", Filled),
            ("spec.ingressClassName", SUBDOMAIN),
            ("spec.rules.[].http.paths", Needed),
            ("spec.rules.[].http.paths.[].pathType", Needed),
            ("spec.rules.[].http.paths.[].pathType", Words(&["Exact", "Prefix", "ImplementationSpecific"])),
            ("spec.rules.[].http.paths.[].backend", One(&["service", "resource"])),
            ("spec.rules.[].http.paths.[].backend.service.name", Needed),
            ("spec.rules.[].http.paths.[].backend.service.name", LABEL),
            ("spec.rules.[].http.paths.[].backend.service.port", Needed),
            ("spec.rules.[].http.paths.[].backend.service.port", One(&["name", "number"])),
            ("spec.rules.[].http.paths.[].backend.service.port.name", Filled),
            ("spec.rules.[].http.paths.[].backend.service.port.name", Text(is_port_name, PORT_NAME)),
            ("spec.rules.[].http.paths.[].backend.service.port.number", PORT_NUMBER),
            ("spec.defaultBackend", One(&["service", "resource"])),
            ("spec.defaultBackend.service.name", Needed),
            ("spec.defaultBackend.service.name", LABEL),
            ("spec.defaultBackend.service.port", Needed),
            ("spec.defaultBackend.service.port", One(&["name", "number"])),
            ("spec.defaultBackend.service.port.name", Filled),
            ("spec.defaultBackend.service.port.name", Text(is_port_name, PORT_NAME)),
            ("spec.defaultBackend.service.port.number", PORT_NUMBER),
        ],
        "NetworkPolicy" => &[
            ("spec.policyTypes.[]", Word(&["Ingress", "Egress"])),
            ("spec.ingress.[].ports.[].port", Port),
            ("spec.ingress.[].ports.[].protocol", Word(PROTOCOLS)),
            ("spec.ingress.[].from.[].ipBlock.cidr", Needed),
            ("spec.ingress.[].from.[].ipBlock.cidr", ADDRESSES),
            ("spec.ingress.[].from.[].ipBlock.except.[]", Needed),
            ("spec.ingress.[].from.[].ipBlock.except.[]", ADDRESSES),
            ("spec.egress.[].ports.[].port", Port),
            ("spec.egress.[].ports.[].protocol", Word(PROTOCOLS)),
            ("spec.egress.[].to.[].ipBlock.cidr", Needed),
            ("spec.egress.[].to.[].ipBlock.cidr", ADDRESSES),
            ("spec.egress.[].to.[].ipBlock.except.[]", Needed),
            ("spec.egress.[].to.[].ipBlock.except.[]", ADDRESSES),
        ],
        "PodDisruptionBudget" => &[
            ("spec.minAvailable", Share(is_part)),
            ("spec.maxUnavailable", Share(is_part)),
            ("spec.unhealthyPodEvictionPolicy", Word(&["IfHealthyBudget", "AlwaysAllow"])),
        ],
        "Role" | "ClusterRole" if api_version.starts_with("rbac.") => ROLE,
        "RoleBinding" | "ClusterRoleBinding" => BINDING,
        "PriorityClass" => &[("preemptionPolicy", Word(&["Never", "PreemptLowerPriority"]))],
        "StorageClass" => &[
            ("provisioner", Needed),
            ("provisioner", Text(is_annotation, "a name such as example.com/disks")),
            ("reclaimPolicy", Words(&["Retain", "Delete"])),
            ("volumeBindingMode", Word(&["Immediate", "WaitForFirstConsumer"])),
        ],
        _ => &[],
    }
}
