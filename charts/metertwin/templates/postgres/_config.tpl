{{/*
PostgreSQL's configuration. Durable without an exception, TLS for everybody, and no statement or value in
the log: a reading is personal. What stands here cannot be set by archive.postgres.parameters.
*/}}
{{- define "metertwin.postgres.fixed" -}}
listen_addresses: "*"
port: 5432
unix_socket_directories: /var/run/postgresql
unix_socket_permissions: "0700"
hba_file: /etc/postgresql/config/pg_hba.conf
ident_file: /etc/postgresql/config/pg_ident.conf
ssl: "on"
ssl_cert_file: /etc/postgresql/tls/tls.crt
ssl_key_file: /etc/postgresql/tls/tls.key
ssl_ca_file: /etc/postgresql/trust/ca.crt
ssl_min_protocol_version: TLSv1.3
fsync: "on"
full_page_writes: "on"
synchronous_commit: "on"
timezone: UTC
log_timezone: UTC
log_destination: stderr
logging_collector: "off"
log_line_prefix: "%m [%p] %q%u@%d "
log_statement: none
log_min_error_statement: panic
log_min_duration_statement: -1
log_min_duration_sample: -1
log_transaction_sample_rate: 0
log_duration: "off"
log_error_verbosity: terse
log_parameter_max_length: 0
log_parameter_max_length_on_error: 0
log_lock_waits: "off"
log_recovery_conflict_waits: "off"
log_temp_files: -1
log_autovacuum_min_duration: -1
debug_print_parse: "off"
debug_print_rewritten: "off"
debug_print_plan: "off"
jit: "off"
{{- end }}

{{- define "metertwin.postgres.conf" -}}
{{- $fixed := include "metertwin.postgres.fixed" . | fromYaml -}}
{{- range $name, $value := .Values.archive.postgres.parameters }}
{{- if hasKey $fixed ($name | lower) }}
{{- fail (printf "archive.postgres.parameters: %s is the chart's own" $name) }}
{{- end }}
{{ $name }} = '{{ $value | toString | replace "'" "''" }}'
{{- end }}
{{- range $name, $value := $fixed }}
{{ $name }} = '{{ $value }}'
{{- end }}
{{- end }}

{{/* Who may connect: the archive by its certificate; by kubectl exec, the pod's own user. */}}
{{- define "metertwin.postgres.hba" -}}
local   all          all        peer  map=pod
local   replication  postgres   peer  map=pod
hostssl metertwin    metertwin  all   cert  map=archive
{{- end }}

{{- define "metertwin.postgres.ident" -}}
pod      metertwin          postgres
pod      metertwin          metertwin
archive  Archive.metertwin  metertwin
{{- end }}

{{/* Has PostgreSQL read its certificate and rules again if they changed, so that no session ends. */}}
{{- define "metertwin.postgres.reload" -}}
SELECT pg_reload_conf() FROM unnest(ARRAY[
  '/etc/postgresql/tls/tls.crt', '/etc/postgresql/trust/ca.crt', '/etc/postgresql/config/pg_hba.conf'
]) AS watched WHERE (pg_stat_file(watched)).modification > pg_conf_load_time() LIMIT 1
{{- end }}
