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
{{- if .Values.mosquitto.renewalListener.enabled }}

# The renewal port is that of a broker of its own in this pod (renewal.conf): requests come in, answers
# go out, and nothing else.
connection renewal
address 127.0.0.1:{{ include "metertwin.mosquitto.bridgePort" . }}
topic mt/+/renew in 1
topic mt/+/renewed out 1
cleansession true
notifications false
try_private false
restart_timeout 1 5
{{- end }}
{{- end }}

{{/* Where the two brokers of the pod meet; on its loopback only. */}}
{{- define "metertwin.mosquitto.bridgePort" -}}
18840
{{- end }}

{{/*
The broker of the renewal port, for meters whose certificate is taken no more. Whoever connects without a
certificate chooses his client id, and the second session of an id ends the first: at the other broker
that would be any meter's, any twin's or the operator's.
*/}}
{{- define "metertwin.mosquitto.renewalConf" -}}
{{- $renewal := .Values.mosquitto.renewalListener -}}
per_listener_settings true
log_dest stderr
log_type error
log_type warning
sys_interval 0
set_tcp_nodelay true
message_size_limit {{ int .Values.mosquitto.messageSizeLimit }}
max_packet_size {{ int .Values.mosquitto.maxPacketSize }}
max_queued_messages 100
max_keepalive 300
# What strangers leave behind is forgotten.
persistence false
retain_available false
persistent_client_expiration 1h

# The client knows nobody: the answer counts by its MAC.
listener {{ int $renewal.port }}
protocol mqtt
max_connections {{ int $renewal.maxConnections }}
certfile /mosquitto/tls/tls.crt
keyfile /mosquitto/tls/tls.key
allow_zero_length_clientid false
allow_anonymous true
acl_file /mosquitto/config/acl-renewal

# For the broker beside this one.
listener {{ include "metertwin.mosquitto.bridgePort" . }} 127.0.0.1
protocol mqtt
max_connections 4
allow_anonymous true
acl_file /mosquitto/config/acl-bridge
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
topic read mt/+/renew
topic write mt/+/renewed

# Meters (user name: device).
{{ include "metertwin.mosquitto.meterPatterns" . }}
pattern write mt/%u/renew
pattern read mt/%u/renewed

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

{{- define "metertwin.mosquitto.aclRenewal" -}}
# Whoever comes: as the device that the client id names, the one request and its answer.
pattern write mt/%c/renew
pattern read mt/%c/renewed
{{- end }}

{{- define "metertwin.mosquitto.aclBridge" -}}
# The broker of port 8883 alone reaches this listener.
topic read mt/+/renew
topic write mt/+/renewed
{{- end }}
