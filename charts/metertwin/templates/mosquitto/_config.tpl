{{/*
Mosquitto's configuration. The reasons are in docs/how-to/external-broker.md; tests start a real broker
with what is rendered here (charts/tests/test_acl.py).
*/}}
{{- define "metertwin.mosquitto.conf" -}}
per_listener_settings true
log_dest stderr
log_type error
log_type warning
log_type notice
# No statistics for anybody: the access rules deny $SYS as well.
sys_interval 0
# Without it a QoS 1 round trip takes 44 ms instead of 0.2 ms.
set_tcp_nodelay true
message_size_limit {{ int .Values.mosquitto.messageSizeLimit }}
max_packet_size {{ int .Values.mosquitto.maxPacketSize }}
max_queued_messages {{ int .Values.mosquitto.maxQueuedMessages }}
max_keepalive 300
persistent_client_expiration 1h
{{- if .Values.mosquitto.persistence.enabled }}
persistence true
persistence_location /mosquitto/data/
autosave_on_changes true
autosave_interval 1
{{- else }}
persistence false
{{- end }}

# Mutual TLS; the certificate's common name is user name and client id.
listener 8883
protocol mqtt
max_connections {{ int .Values.mosquitto.maxConnections }}
cafile /mosquitto/trust/ca.crt
certfile /mosquitto/tls/tls.crt
keyfile /mosquitto/tls/tls.key
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file /mosquitto/config/acl
{{- if .Values.mosquitto.constrainedListener.enabled }}

# Boards without room for TLS: neither encrypted nor authenticated by certificate.
listener {{ int .Values.mosquitto.constrainedListener.port }}
protocol mqtt
max_connections {{ int .Values.mosquitto.constrainedListener.maxConnections }}
password_file /mosquitto/passwords/passwords
use_username_as_clientid true
allow_anonymous false
acl_file /mosquitto/config/acl-constrained
{{- end }}
{{- end }}

{{/* What a meter may do; %u is the device id. */}}
{{- define "metertwin.mosquitto.meterPatterns" -}}
pattern write mt/%u/+/up
pattern read mt/%u/+/down
pattern read mt/%u/owner
pattern write mt/%u/hello
{{- end }}

{{/*
Access rules. User names: meter "device", twin "device/epoch", so that the two never overlap: their
topics differ in depth. Reader "Reader.name" lies outside the device alphabet. Whatever is not named is denied, $SYS and # too.
*/}}
{{- define "metertwin.mosquitto.acl" -}}
# The operator, at exact depth. It reads back what it wrote (ctl, owner) before it relies on it, and
# removes the retained state of epochs that are over: nobody else may once their twins are gone.
user Operator.metertwin
topic readwrite mt/+/+/ctl
topic readwrite mt/+/owner
topic readwrite mt/+/+/state
topic read mt/+/hello

# Meters (user name: device).
{{ include "metertwin.mosquitto.meterPatterns" . }}

# Twins (user name: device/epoch).
pattern read mt/%u/up
pattern write mt/%u/down
pattern read mt/%u/ctl
pattern write mt/%u/state

# Homes' energy management (user name: Reader.name), without the epoch in what it subscribes to, and
# their twins. Each writes below its own name alone; a twin subscribes to the one that its meter
# names. A meter has the right to write where nobody listens, `ems/from/device`.
pattern write ems/to/%u/+/plan
pattern write ems/to/%u/+/answer
pattern read ems/to/+/+/%u/plan
pattern read ems/to/+/+/%u/answer
pattern write ems/from/%u/+/+/state
pattern write ems/from/%u/+/+/override
pattern read ems/from/+/%u/state
pattern read ems/from/+/%u/override
{{- end }}

{{- define "metertwin.mosquitto.aclConstrained" -}}
# Meters only: no twin and no operator ever comes through this port.
{{ include "metertwin.mosquitto.meterPatterns" . }}
{{- end }}
