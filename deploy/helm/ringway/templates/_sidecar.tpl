{{/*
For charts of applications that depend on this one: what makes a pod's cache local.

    initContainers:
      {{- include "ringway.sidecar" .Subcharts.ringway | nindent 6 }}
    volumes:
      {{- include "ringway.volume" .Subcharts.ringway | nindent 6 }}

The ConfigMap that they read is this release's own; "ringway.configmap" makes it under another name.
*/}}

{{/* The sidecar: an init container that stays (Kubernetes 1.29 or later), started before the application. */}}
{{- define "ringway.sidecar" -}}
- name: ringway
  restartPolicy: Always
{{ include "ringway.container" . | indent 2 }}
{{- end -}}

{{/* What sidecar and DaemonSet have in common. */}}
{{- define "ringway.container" -}}
image: {{ include "ringway.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["--config", "/etc/ringway/ringway.yaml", "--log-format", "json"]
ports:
  - {name: admin, containerPort: {{ include "ringway.admin.port" . }}}
# An application that starts after it finds a listener: 30 tries, a second apart.
startupProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 1
  failureThreshold: 30
# Says nothing of the nodes, so a dead memcached restarts no pod.
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 3
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
resources:
{{ toYaml .Values.resources | indent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  # The folder, and no single file by subPath: only then a changed ConfigMap arrives, and Ringway reloads it.
  - {name: ringway, mountPath: /etc/ringway, readOnly: true}
{{- end -}}

{{- define "ringway.volume" -}}
- name: ringway
  configMap: {name: {{ include "ringway.fullname" . }}}
{{- end -}}

{{/* A ConfigMap with the configuration: (list . "name"). */}}
{{- define "ringway.configmap" -}}
{{- $top := index . 0 -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ index . 1 }}
  namespace: {{ $top.Release.Namespace }}
  labels:
{{ include "ringway.labels" $top | indent 4 }}
data:
  ringway.yaml: |
{{ include "ringway.config" $top | indent 4 }}
{{- end -}}
