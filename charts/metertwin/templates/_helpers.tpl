{{- define "metertwin.fullname" -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Namespaces whose meters are served, as a JSON list. */}}
{{- define "metertwin.meterNamespaces" -}}
{{- .Values.meterNamespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end }}

{{- define "metertwin.labels" -}}
app.kubernetes.io/name: metertwin
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: metertwin
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels by which a part's pods are found; (list root part). */}}
{{- define "metertwin.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: metertwin
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of a part's pods; (list root part). The role is what network policies go by. */}}
{{- define "metertwin.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "metertwin.labels" $root }}
app.kubernetes.io/component: {{ index . 1 }}
metertwin.io/role: {{ index . 1 }}
{{- end }}

{{/* An image reference; (list root image default-tag). The digest wins. */}}
{{- define "metertwin.image" -}}
{{- $image := index . 1 -}}
{{- $name := $image.repository -}}
{{- if $image.registry }}{{ $name = printf "%s/%s" $image.registry $image.repository }}{{ end -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $name $image.digest }}
{{- else -}}
{{ printf "%s:%s" $name ($image.tag | default (index . 2)) }}
{{- end -}}
{{- end }}

{{- define "metertwin.operatorImage" -}}
{{ include "metertwin.image" (list . .Values.operator.image .Chart.AppVersion) }}
{{- end }}

{{- define "metertwin.twinImage" -}}
{{ include "metertwin.image" (list . .Values.twin.image .Chart.AppVersion) }}
{{- end }}

{{/* Pod Security "restricted" for a pod and for a container. */}}
{{- define "metertwin.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "metertwin.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "metertwin.brokerHost" -}}
{{- if .Values.broker.externalHost -}}
{{ .Values.broker.externalHost }}
{{- else -}}
{{ include "metertwin.fullname" . }}-mosquitto.{{ .Release.Namespace }}.svc
{{- end -}}
{{- end }}

{{- define "metertwin.brokerPort" -}}
{{ ternary (int .Values.broker.externalPort) 8883 (ne .Values.broker.externalHost "") }}
{{- end }}

{{- define "metertwin.brokerSecret" -}}
{{ .Values.mosquitto.tls.existingSecret | default (printf "%s-mosquitto-tls" (include "metertwin.fullname" .)) }}
{{- end }}

{{- define "metertwin.operatorSecret" -}}
{{ include "metertwin.fullname" . }}-operator-tls
{{- end }}

{{- define "metertwin.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{/* Where a pod may run; takes operator or mosquitto values. */}}
{{- define "metertwin.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}
