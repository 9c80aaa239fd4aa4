{{/* The operator's settings: meter_operator/settings.py reads them. No secret is among them. */}}
{{- define "metertwin.operatorEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: METERTWIN_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: METERTWIN_WATCH_NAMESPACES
  value: {{ include "metertwin.meterNamespaces" . | fromJsonArray | join "," | quote }}
- name: METERTWIN_BROKER_HOST
  value: {{ include "metertwin.brokerHost" . | quote }}
- name: METERTWIN_BROKER_PORT
  value: {{ include "metertwin.brokerPort" . | quote }}
- name: METERTWIN_MESSAGE_SIZE_LIMIT
  value: {{ int .Values.mosquitto.messageSizeLimit | quote }}
- name: METERTWIN_TWIN_IMAGE
  value: {{ include "metertwin.twinImage" . | quote }}
- name: METERTWIN_TWIN_PULL_POLICY
  value: {{ .Values.twin.image.pullPolicy | quote }}
- name: METERTWIN_TWIN_SERVICE_ACCOUNT
  value: {{ include "metertwin.fullname" . }}-twin
{{- if .Values.archive.enabled }}
- name: METERTWIN_ARCHIVE_HOST
  value: {{ include "metertwin.archiveHost" . | quote }}
- name: METERTWIN_ARCHIVE_PORT
  value: "8444"
{{- end }}
- name: METERTWIN_WATCH_NODES
  value: {{ .Values.operator.watchNodes | quote }}
- name: METERTWIN_HANDOVER
  value: {{ .Values.operator.handover | quote }}
- name: METERTWIN_LOG_LEVEL
  value: {{ .Values.operator.logLevel | quote }}
{{- end }}
