# shellcheck disable=SC2034
# What differs from one instance to the next. Sourced by common.sh.
rw_service={{ names.rw }}
replicas_service={{ names.replicas }}
max_lag={{ q2.max_lag if store else q1.max_lag }}
{% if store %}
store_service={{ names.store }}
durability={{ "available" if q2.durability == "available" else "strict" }}
backups={{ q2.backups }}          # base backups that are kept
backup_every={{ q2.backup_every }}  # seconds
store_full=90      # percent, from where on the store is not ready
{% endif %}
{% if lang == "fr" %}
lost_volume_help={{ "README.md, « " ~ ("Le primaire et le magasin sont perdus" if store else "Le volume du primaire est perdu") ~ " »" }}
{% else %}
lost_volume_help={{ "README.md, \"" ~ ("The primary and the store are lost" if store else "The primary's volume is lost") ~ "\"" }}
{% endif %}
