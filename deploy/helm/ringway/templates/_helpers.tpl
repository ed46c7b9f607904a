{{/* The name of everything in the release: its own, with "ringway" in it. */}}
{{- define "ringway.fullname" -}}
{{- if contains "ringway" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-ringway" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ringway.selector" -}}
app.kubernetes.io/name: ringway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ringway.labels" -}}
{{ include "ringway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "ringway.memcached.selector" -}}
app.kubernetes.io/name: memcached
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ringway.memcached.labels" -}}
{{ include "ringway.memcached.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "ringway.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* The port of `admin.bind`. */}}
{{- define "ringway.admin.port" -}}
{{- $admin := .Values.config.admin | default dict -}}
{{- $admin.bind | default "0.0.0.0:9155" | splitList ":" | last -}}
{{- end -}}

{{/* ringway.yaml: the values in `config`, with listeners and pools if they were left out. */}}
{{- define "ringway.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if not $config.listeners -}}
{{- $bind := ternary "0.0.0.0:11211" "127.0.0.1:11211" .Values.daemonset.enabled -}}
{{- $_ := set $config "listeners" (list (dict "bind" $bind)) -}}
{{- end -}}
{{- if not $config.pools -}}
{{- if not .Values.memcached.enabled -}}
{{- fail "without memcached.enabled there are no nodes: set config.pools" -}}
{{- end -}}
{{- $from := printf "dnssrvnoa+_memcache._tcp.%s-memcached.%s.svc.%s" (include "ringway.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- $pool := dict "distribution" "ringway" "discover" (dict "from" $from) "on_node_down" "rehash" -}}
{{- $_ := set $config "pools" (dict "main" $pool) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
