{{/* Locust beside the application: names, and the pods of its master and of its workers. */}}

{{- define "corepod.loadtestName" -}}
{{ include "corepod.fullname" . }}-loadtest
{{- end }}

{{- define "corepod.loadtestSelector" -}}
app.kubernetes.io/name: {{ include "corepod.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: loadtest
{{- end }}

{{- define "corepod.loadtestLabels" -}}
{{ include "corepod.labels" . }}
app.kubernetes.io/component: loadtest
{{- end }}

{{/* One more peer where the application's pods name whom they let in. */}}
{{- define "corepod.loadtestPeer" -}}
{{- if .Values.loadtest.enabled }}
- podSelector:
    matchLabels:
      {{- include "corepod.loadtestSelector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "corepod.loadtestImage" -}}
{{- with .Values.loadtest.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* A Deployment of Locust, of (dict "root" $ "role" "master" or "worker" "replicas" number "args" flags). */}}
{{- define "corepod.loadtestDeployment" -}}
{{- $root := .root }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "corepod.loadtestName" $root }}-{{ .role }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "corepod.loadtestLabels" $root | nindent 4 }}
spec:
  replicas: {{ .replicas }}
  # A master that goes has lost what it counted, and two would share the workers.
  strategy:
    type: Recreate
  selector:
    matchLabels:
      {{- include "corepod.loadtestSelector" $root | nindent 6 }}
      corepod.dev/locust: {{ .role }}
  template:
    metadata:
      labels:
        {{- include "corepod.loadtestSelector" $root | nindent 8 }}
        app.kubernetes.io/part-of: corepod
        corepod.dev/locust: {{ .role }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 5
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
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
          # A fraction of a core and no limit: never one of the cores that the kubelet gives away whole, and never throttled,
          # or it would measure itself.
          resources:
            requests:
              cpu: {{ $root.Values.loadtest.cpu | quote }}
              memory: {{ $root.Values.loadtest.memory }}
            limits:
              memory: {{ $root.Values.loadtest.memory }}
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
