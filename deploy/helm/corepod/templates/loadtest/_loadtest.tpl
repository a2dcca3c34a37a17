{{/* The load test: names, and the pods of the Locust master and of its workers. */}}

{{- define "corepod.loadtestName" -}}
{{ include "corepod.fullname" . }}-loadtest
{{- end }}

{{- define "corepod.loadtestSelector" -}}
app.kubernetes.io/name: {{ include "corepod.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: loadtest
{{- end }}

{{- define "corepod.loadtestLabels" -}}
{{ include "corepod.labels" . }}
app.kubernetes.io/component: loadtest
{{- end }}

{{/* The load test's entry in the application's NetworkPolicy. */}}
{{- define "corepod.loadtestPeer" -}}
{{- if .Values.loadtest.enabled }}
- podSelector:
    matchLabels:
      {{- include "corepod.loadtestSelector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "corepod.loadtestImage" -}}
{{ include "corepod.imageOf" (list . .Values.loadtest.image) }}
{{- end }}

{{/* A Deployment of Locust. Argument: (dict "root" $ "role" "master" or "worker" "replicas" number "args" flags). */}}
{{- define "corepod.loadtestDeployment" -}}
{{- $root := .root }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "corepod.loadtestName" $root }}-{{ .role }}
  namespace: {{ include "corepod.namespace" $root | quote }}
  {{- include "corepod.annotations" (list $root) }}
  labels:
    {{- include "corepod.loadtestLabels" $root | nindent 4 }}
spec:
  replicas: {{ .replicas }}
  # A second master would take over some of the workers, and the counts are lost with the first one anyway.
  strategy:
    type: Recreate
  {{- with include "corepod.revisionHistoryLimit" $root | trim }}{{ nindent 2 . }}{{ end }}
  selector:
    matchLabels:
      {{- include "corepod.loadtestSelector" $root | nindent 6 }}
      corepod.dev/locust: {{ .role }}
  template:
    metadata:
      labels:
        {{- include "corepod.loadtestSelector" $root | nindent 8 }}
        app.kubernetes.io/part-of: corepod
        {{- with include "corepod.commonLabels" $root | trim }}{{ nindent 8 . }}{{ end }}
        corepod.dev/locust: {{ .role }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 5
      {{- with include "corepod.pullSecrets" $root | trim }}{{ nindent 6 . }}{{ end }}
      securityContext:
        {{- include "corepod.podSecurity" $root | nindent 8 }}
      containers:
        - name: locust
          image: {{ include "corepod.loadtestImage" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args:
            {{- range .args }}
            - {{ . | quote }}
            {{- end }}
            {{- range $root.Values.loadtest.args }}
            - {{ . | quote }}
            {{- end }}
          {{- if eq .role "master" }}
          ports:
            - name: page
              containerPort: 8089
            - name: workers
              containerPort: 5557
          readinessProbe:
            httpGet:
              path: /
              port: page
          {{- end }}
          # A fraction of a core, so that the pod never gets one of the exclusive cores, and by default no CPU limit: a
          # throttled load test would distort its measurements.
          resources:
            {{- include "corepod.loadtestResources" $root | nindent 12 }}
          securityContext:
            {{- include "corepod.containerSecurity" (dict "Values" (dict "readOnlyRootFilesystem" true)) | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
      {{- with $root.Values.loadtest.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.loadtest.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
