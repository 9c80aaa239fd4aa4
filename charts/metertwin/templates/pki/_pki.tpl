{{- define "metertwin.pki.rules" -}}
# "create" cannot be limited to names; everything else is.
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    - {{ .Values.pki.caSecret }}
    - {{ .Values.pki.fleetKeySecret }}
    - {{ include "metertwin.operatorSecret" . }}
    {{- with include "metertwin.pki.brokerSecret" . }}
    - {{ . }}
    {{- end }}
    {{- if .Values.archive.enabled }}
    - {{ include "metertwin.archiveSecret" . }}
    {{- end }}
    {{- if include "metertwin.ownDatabase" . }}
    - {{ include "metertwin.archiveDatabaseSecret" . }}
    - {{ include "metertwin.postgresSecret" . }}
    {{- end }}
  verbs: [get, update, patch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "metertwin.fullname" . }}-trust]
  verbs: [get, update, patch]
{{- end }}

{{/* Pod of the Job and of the CronJob: `meter_pki init` makes what is missing and renews what ends. */}}
{{- define "metertwin.pki.pod" -}}
{{- $root := index . 0 -}}
metadata:
  labels: {{- include "metertwin.podLabels" (list $root "pki") | nindent 4 }}
spec:
  serviceAccountName: {{ index . 1 }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: OnFailure
  {{- include "metertwin.pullSecrets" $root | nindent 2 }}
  securityContext: {{- include "metertwin.podSecurity" $root | nindent 4 }}
  containers:
    - name: pki
      image: {{ include "metertwin.operatorImage" $root }}
      imagePullPolicy: {{ $root.Values.operator.image.pullPolicy }}
      command: {{- include "metertwin.pki.command" $root | nindent 8 }}
      resources: {{- toYaml $root.Values.pki.resources | nindent 8 }}
      securityContext: {{- include "metertwin.containerSecurity" $root | nindent 8 }}
{{- end }}

{{/* The Secret that the Job fills for the broker; empty when the broker or its Secret is yours. */}}
{{- define "metertwin.pki.brokerSecret" -}}
{{- if not (or .Values.broker.externalHost .Values.mosquitto.tls.existingSecret) -}}
{{ include "metertwin.brokerSecret" . }}
{{- end -}}
{{- end }}

{{- define "metertwin.pki.command" -}}
- python3
- -m
- meter_pki
- init
- --namespace={{ .Release.Namespace }}
- --ca-secret={{ .Values.pki.caSecret }}
- --fleet-key-secret={{ .Values.pki.fleetKeySecret }}
- --operator-secret={{ include "metertwin.operatorSecret" . }}
- --broker-secret={{ include "metertwin.pki.brokerSecret" . }}
- --trust-config-map={{ include "metertwin.fullname" . }}-trust
{{- range .Values.mosquitto.extraDnsNames }}
- --broker-host={{ . }}
{{- end }}
{{- if .Values.archive.enabled }}
- --archive-secret={{ include "metertwin.archiveSecret" . }}
{{- range .Values.archive.extraDnsNames }}
- --archive-host={{ . }}
{{- end }}
{{- end }}
{{- if include "metertwin.ownDatabase" . }}
- --archive-client-secret={{ include "metertwin.archiveDatabaseSecret" . }}
- --postgres-secret={{ include "metertwin.postgresSecret" . }}
{{- end }}
{{- end }}
