{{/* Parts of Services. */}}

{{/*
The specification of a Service for clients, without its selector. Argument: (dict "root" $ "service" the values `service` or
`front.service`).
*/}}
{{- define "corepod.serviceSpec" -}}
{{- with .service }}
type: {{ .type }}
{{- with .clusterIP }}
clusterIP: {{ . | quote }}
{{- end }}
{{- end }}
{{- include "corepod.ipFamilies" .root }}
{{- with .service }}
ports:
  - name: http
    port: {{ int .port }}
    targetPort: http
    appProtocol: {{ .appProtocol | default "http" | quote }}
    {{- with .nodePort }}
    nodePort: {{ int . }}
    {{- end }}
  {{- with .extraPorts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .trafficDistribution }}
trafficDistribution: {{ . }}
{{- end }}
{{- with .externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- with .sessionAffinity }}
sessionAffinity: {{ . }}
{{- if eq . "ClientIP" }}
sessionAffinityConfig:
  clientIP:
    timeoutSeconds: {{ int $.service.sessionAffinityTimeout }}
{{- end }}
{{- end }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . | quote }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The families of addresses, the same for every Service of the release: each leads to pods of the same network. */}}
{{- define "corepod.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What the API server would refuse of the Services, with the reason. */}}
{{- define "corepod.serviceFaults" -}}
{{- $faults := include "corepod.publicFaults" (dict "name" "service" "service" .Values.service "families" .Values.service.ipFamilies) | fromJsonArray }}
{{- if .Values.front.enabled }}
{{- $faults = concat $faults (include "corepod.publicFaults" (dict "name" "front.service" "service" .Values.front.service "families" .Values.service.ipFamilies) | fromJsonArray) }}
{{- with .Values.front.service.nodePort }}
{{- if eq (int .) (int $.Values.service.nodePort) }}
{{- $faults = append $faults (printf "service.nodePort and front.service.nodePort are both %d: a port of the nodes leads to one Service" (int .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (gt (len (.Values.service.ipFamilies | default list)) 1) (not (has .Values.service.ipFamilyPolicy (list "PreferDualStack" "RequireDualStack"))) }}
{{- $faults = append $faults "service.ipFamilies has two families: set service.ipFamilyPolicy to PreferDualStack or RequireDualStack" }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Argument: (dict "name" "service" "service" its values "families" the families of all Services). */}}
{{- define "corepod.publicFaults" -}}
{{- $faults := list }}
{{- $name := .name }}
{{- $service := .service }}
{{- if eq $service.clusterIP "None" }}
{{- $faults = append $faults (printf "%s.clusterIP is None: without an address nothing translates the port %d to that of the pods; service.headless adds a Service without an address beside this one" $name (int $service.port)) }}
{{- else if and $service.clusterIP .families }}
{{- if ne (first .families) (contains ":" $service.clusterIP | ternary "IPv6" "IPv4") }}
{{- $faults = append $faults (printf "%s.clusterIP is %s, but the first of service.ipFamilies is %s" $name $service.clusterIP (first .families)) }}
{{- end }}
{{- end }}
{{- range $field, $types := dict "nodePort" "NodePort or LoadBalancer" "externalTrafficPolicy" "NodePort or LoadBalancer" "loadBalancerClass" "LoadBalancer" "loadBalancerSourceRanges" "LoadBalancer" }}
{{- if and (get $service $field) (not (contains $service.type $types)) }}
{{- $faults = append $faults (printf "%s.%s is set, but %s.type is %s: it has a meaning for the type %s only" $name $field $name $service.type $types) }}
{{- end }}
{{- end }}
{{- $names := list "http" }}
{{- $ports := list (printf "TCP %d" (int $service.port)) }}
{{- $nodePorts := list (int $service.nodePort) }}
{{- range $service.extraPorts }}
{{- $port := printf "%s %d" (.protocol | default "TCP") (int .port) }}
{{- if or (has .name $names) (has $port $ports) }}
{{- $faults = append $faults (printf "%s.extraPorts has the port %s (%s), whose name or number another port of this Service has" $name .name $port) }}
{{- end }}
{{- if and .nodePort (or (eq $service.type "ClusterIP") (has (int .nodePort) $nodePorts)) }}
{{- $faults = append $faults (printf "%s.extraPorts: the port %s can't have the nodePort %d, because another port has it, or %s.type is ClusterIP" $name .name (int .nodePort) $name) }}
{{- end }}
{{- $names = append $names .name }}
{{- $ports = append $ports $port }}
{{- $nodePorts = append $nodePorts (int .nodePort) }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Paths of an Ingress are compared element by element, unless their type leaves that to the controller. */}}
{{- define "corepod.ingressFaults" -}}
{{- $faults := list }}
{{- range .Values.ingress.hosts }}
{{- range .paths }}
{{- if and (ne (.pathType | default "Prefix") "ImplementationSpecific") (regexMatch "//|/[.]{1,2}(/|$)|%2[fF]" .path) }}
{{- $faults = append $faults (printf "ingress.hosts has the path %s: only the pathType ImplementationSpecific allows //, /./, /../ and %%2f" .path) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}
