{{/* One NetworkPolicy; (list root namespace name spec-template-suffix). */}}
{{- define "metertwin.policy" }}
{{- $root := index . 0 }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "metertwin.fullname" $root }}-{{ index . 2 }}
  namespace: {{ index . 1 }}
  labels: {{- include "metertwin.labels" $root | nindent 4 }}
spec: {{- include (printf "metertwin.policy.%s" (index . 3)) $root | nindent 2 }}
{{- end }}

{{- define "metertwin.policy.defaultDeny" -}}
{{- if .Values.networkPolicy.denyWholeNamespace -}}
podSelector: {}
{{- else -}}
podSelector:
  matchExpressions: [{key: metertwin.io/role, operator: Exists}]
{{- end }}
policyTypes: [Ingress, Egress]
{{- end }}

{{- define "metertwin.policy.dns" -}}
podSelector:
  matchExpressions: [{key: metertwin.io/role, operator: Exists}]
policyTypes: [Egress]
{{- $dns := .Values.networkPolicy.dns }}
egress:
  - to:
      - namespaceSelector:
          matchLabels: {{- toYaml $dns.namespaceLabels | nindent 12 }}
        {{- with $dns.podLabels }}
        podSelector:
          matchLabels: {{- toYaml . | nindent 12 }}
        {{- end }}
      {{- range $dns.cidrs }}
      - ipBlock: {cidr: {{ . | quote }}}
      {{- end }}
    ports:
      {{- range $dns.ports }}
      - {protocol: UDP, port: {{ int . }}}
      - {protocol: TCP, port: {{ int . }}}
      {{- end }}
{{- end }}

{{/* Peers: pods with a role in the meters' namespaces; (list root role…). */}}
{{- define "metertwin.policy.peers" -}}
- namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ include "metertwin.meterNamespaces" (index . 0) }}
  podSelector:
    matchExpressions:
      - {key: metertwin.io/role, operator: In, values: {{ rest . | toJson }}}
{{- end }}

{{/* Way to the broker: the chart's own, or anything on the port of an external one. */}}
{{- define "metertwin.policy.toBroker" -}}
{{- if .Values.broker.externalHost -}}
- ports: [{protocol: TCP, port: {{ include "metertwin.brokerPort" . }}}]
{{- else -}}
{{ include "metertwin.policy.toOwnBroker" (list . 8883) }}
{{- end }}
{{- end }}

{{/* Way to a port of the chart's own broker; (list root port). */}}
{{- define "metertwin.policy.toOwnBroker" -}}
- to: {{- include "metertwin.policy.brokerPods" (index . 0) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ index . 1 }}}]
{{- end }}

{{- define "metertwin.policy.brokerPods" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}
  podSelector:
    matchLabels: {metertwin.io/role: broker}
{{- end }}

{{- define "metertwin.policy.fromMonitoring" -}}
- from:
    - namespaceSelector:
        matchLabels: {{- toYaml .Values.networkPolicy.monitoringNamespaceLabels | nindent 10 }}
  ports: [{protocol: TCP, port: 8080}]
{{- end }}

{{- define "metertwin.policy.twin" -}}
podSelector:
  matchLabels: {metertwin.io/role: twin}
policyTypes: [Ingress, Egress]
ingress:
  {{- include "metertwin.policy.fromMonitoring" . | nindent 2 }}
  # Twins speak to each other over mutual TLS; recipients of the data policy read the same way.
  - from: {{- include "metertwin.policy.peers" (list . "twin" "reader" "ems") | nindent 6 }}
    ports: [{protocol: TCP, port: 8443}]
egress:
  {{- include "metertwin.policy.toBroker" . | nindent 2 }}
  - to: {{- include "metertwin.policy.peers" (list . "twin") | nindent 6 }}
    ports: [{protocol: TCP, port: 8443}]
  {{- if .Values.archive.enabled }}
  {{- include "metertwin.policy.toArchive" (list . 8444) | nindent 2 }}
  {{- end }}
  {{- with .Values.networkPolicy.utilityEgress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "metertwin.policy.meter" -}}
# Simulated meters (examples/street): the broker and nothing else; small ones at the port without TLS.
podSelector:
  matchLabels: {metertwin.io/role: meter}
policyTypes: [Ingress, Egress]
egress:
  {{- include "metertwin.policy.toBroker" . | nindent 2 }}
  {{- $root := . }}
  {{- range list .Values.mosquitto.renewalListener .Values.mosquitto.constrainedListener }}
  {{- if and .enabled (not $root.Values.broker.externalHost) }}
  {{- include "metertwin.policy.toOwnBroker" (list $root (int .port)) | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "metertwin.policy.reader" -}}
# Recipients in the meters' namespaces: the twins and the archive; what else they need is for their owner to allow.
podSelector:
  matchLabels: {metertwin.io/role: reader}
policyTypes: [Egress]
egress:
  - to: {{- include "metertwin.policy.peers" (list . "twin") | nindent 6 }}
    ports: [{protocol: TCP, port: 8443}]
  {{- if .Values.archive.enabled }}
  {{- include "metertwin.policy.toArchive" (list . 8443) | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "metertwin.policy.ems" -}}
# Homes' energy management in the meters' namespaces: the broker, or the twins themselves.
podSelector:
  matchLabels: {metertwin.io/role: ems}
policyTypes: [Egress]
egress:
  {{- include "metertwin.policy.toBroker" . | nindent 2 }}
  - to: {{- include "metertwin.policy.peers" (list . "twin") | nindent 6 }}
    ports: [{protocol: TCP, port: 8443}]
{{- end }}

{{- define "metertwin.policy.operator" -}}
podSelector:
  matchLabels: {metertwin.io/role: operator}
policyTypes: [Ingress, Egress]
ingress:
  {{- include "metertwin.policy.fromMonitoring" . | nindent 2 }}
egress:
  {{- include "metertwin.policy.toBroker" . | nindent 2 }}
{{- end }}

{{- define "metertwin.policy.apiClients" -}}
podSelector:
  matchExpressions: [{key: metertwin.io/role, operator: In, values: [operator, pki, test, archive]}]
policyTypes: [Egress]
egress:
  - to:
      {{- range .Values.networkPolicy.apiServerCidrs }}
      - ipBlock: {cidr: {{ . | quote }}}
      {{- end }}
    ports:
      {{- range .Values.networkPolicy.apiServerPorts }}
      - {protocol: TCP, port: {{ int . }}}
      {{- end }}
{{- end }}

{{- define "metertwin.policy.broker" -}}
podSelector:
  matchLabels: {metertwin.io/role: broker}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      - podSelector:
          matchLabels: {metertwin.io/role: operator}
      {{- include "metertwin.policy.peers" (list . "twin" "meter" "ems") | nindent 6 }}
      {{- range .Values.networkPolicy.meterCidrs }}
      - ipBlock: {cidr: {{ . | quote }}}
      {{- end }}
    ports: [{protocol: TCP, port: 8883}]
  {{- with .Values.mosquitto.constrainedListener }}
  {{- if .enabled }}
  - from:
      {{- include "metertwin.policy.peers" (list $ "meter") | nindent 6 }}
      {{- range .allowedCidrs }}
      - ipBlock: {cidr: {{ . | quote }}}
      {{- end }}
    ports: [{protocol: TCP, port: {{ int .port }}}]
  {{- end }}
  {{- end }}
  {{- with .Values.mosquitto.renewalListener }}
  {{- if .enabled }}
  - from:
      {{- include "metertwin.policy.peers" (list $ "meter") | nindent 6 }}
      {{- range .allowedCidrs }}
      - ipBlock: {cidr: {{ . | quote }}}
      {{- end }}
    ports: [{protocol: TCP, port: {{ int .port }}}]
  {{- end }}
  {{- end }}
{{- end }}

{{/* Way to a port of the archive; (list root port). */}}
{{- define "metertwin.policy.toArchive" -}}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ (index . 0).Release.Namespace }}}
      podSelector:
        matchLabels: {metertwin.io/role: archive}
  ports: [{protocol: TCP, port: {{ index . 1 }}}]
{{- end }}

{{- define "metertwin.policy.archive" -}}
podSelector:
  matchLabels: {metertwin.io/role: archive}
policyTypes: [Ingress, Egress]
ingress:
  {{- include "metertwin.policy.fromMonitoring" . | nindent 2 }}
  - from: {{- include "metertwin.policy.peers" (list . "twin") | nindent 6 }}
    ports: [{protocol: TCP, port: 8444}]
  - from:
      {{- include "metertwin.policy.peers" (list . "reader") | nindent 6 }}
      {{- with .Values.networkPolicy.archiveClients }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    ports: [{protocol: TCP, port: 8443}]
egress:
  {{- if .Values.archive.database.existingSecret }}
  - ports: [{protocol: TCP, port: {{ int .Values.archive.database.port }}}]
  {{- else }}
  - to:
      - podSelector:
          matchLabels: {metertwin.io/role: postgres}
    ports: [{protocol: TCP, port: 5432}]
  {{- end }}
{{- end }}

{{- define "metertwin.policy.postgres" -}}
podSelector:
  matchLabels: {metertwin.io/role: postgres}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      - podSelector:
          matchLabels: {metertwin.io/role: archive}
    ports: [{protocol: TCP, port: 5432}]
{{- end }}
