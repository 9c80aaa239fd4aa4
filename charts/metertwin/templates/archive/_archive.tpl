{{- define "metertwin.archiveImage" -}}
{{ include "metertwin.image" (list . .Values.archive.image .Chart.AppVersion) }}
{{- end }}

{{- define "metertwin.archiveHost" -}}
{{ include "metertwin.fullname" . }}-archive.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "metertwin.archiveSecret" -}}
{{ include "metertwin.fullname" . }}-archive-tls
{{- end }}

{{- define "metertwin.archiveDatabaseSecret" -}}
{{ include "metertwin.fullname" . }}-archive-database-tls
{{- end }}

{{- define "metertwin.postgresSecret" -}}
{{ include "metertwin.fullname" . }}-postgres-tls
{{- end }}

{{/* Not empty if the archive runs with a PostgreSQL of the chart's. */}}
{{- define "metertwin.ownDatabase" -}}
{{- if and .Values.archive.enabled (not .Values.archive.database.existingSecret) -}}
yes
{{- end -}}
{{- end }}

{{/* Where the archive's data are; libpq reads the files that it names anew with each connection. */}}
{{- define "metertwin.archiveDatabase" -}}
{{- $files := "sslrootcert=/etc/metertwin/trust/ca.crt&sslcert=/etc/metertwin/database/tls.crt&sslkey=/etc/metertwin/database/tls.key" -}}
postgresql://metertwin@{{ include "metertwin.fullname" . }}-postgres.{{ .Release.Namespace }}.svc/metertwin?sslmode=verify-full&{{ $files }}
{{- end }}

{{/* The service's settings, of `migrate` too; no secret is among them, but where one is. */}}
{{- define "metertwin.archiveEnv" -}}
- name: METERTWIN_ARCHIVE_NAMESPACES
  value: {{ include "metertwin.meterNamespaces" . | fromJsonArray | join "," | quote }}
- name: METERTWIN_ARCHIVE_DATABASE
  {{- with .Values.archive.database.existingSecret }}
  valueFrom: {secretKeyRef: {name: {{ . }}, key: url}}
  {{- else }}
  value: {{ include "metertwin.archiveDatabase" . | quote }}
  {{- end }}
- name: METERTWIN_ARCHIVE_RETENTION_DAYS
  value: {{ int .Values.archive.retentionDays | quote }}
- name: METERTWIN_ARCHIVE_AUDIT_DAYS
  value: {{ int .Values.archive.auditDays | quote }}
{{- end }}

{{- define "metertwin.archiveMounts" -}}
- {name: tls, mountPath: /etc/metertwin/tls, readOnly: true}
- {name: trust, mountPath: /etc/metertwin/trust, readOnly: true}
- {name: database, mountPath: /etc/metertwin/database, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}
