# shellcheck shell=bash disable=SC2034
# What differs from one instance to the next. Sourced by common.sh.
rw_service={{ names.rw }}
replicas_service={{ names.replicas }}
replicas={{ replicas }}
max_lag={{ q1.max_lag }}
{% if lang == "fr" %}
lost_volume_help='README.md, « Le volume du primaire est perdu »'
{% else %}
lost_volume_help='README.md, "The primary'\''s volume is lost"'
{% endif %}
