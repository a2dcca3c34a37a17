{{/* Checks that values.schema.json can't express: combinations of values. All errors are reported at once. */}}
{{- define "corepod.validate" -}}
{{- $faults := list }}
{{- range list "name" "cpu" "resource" "memory" "image" "rollout" "label" "pod" "time" "number" "operator" "front" "service" "ingress" "monitor" "settings" "env" "collision" "state" }}
{{- $faults = concat $faults (include (printf "corepod.%sFaults" .) $ | fromJsonArray) }}
{{- end }}
{{- if $faults }}
{{- fail (printf "\n\nThese values are invalid:\n- %s\n" (join "\n- " $faults)) }}
{{- end }}
{{- end }}

{{- define "corepod.cpuFaults" -}}
{{- $faults := list }}
{{- if eq .Values.cpu.preset "exclusive" }}
{{- if .Values.cpu.request }}
{{- $faults = append $faults (printf "cpu.request is %v, but the preset exclusive requests whole cores, one for each of cpu.slots: leave it empty, or set cpu.preset to shared" .Values.cpu.request) }}
{{- end }}
{{- if and .Values.memory.limit (ne (toString .Values.memory.limit) (toString .Values.memory.request)) }}
{{- $faults = append $faults (printf "memory.limit is %v and memory.request %v, but a pod gets exclusive cores only if both are equal: leave the limit empty, or set cpu.preset to shared" .Values.memory.limit .Values.memory.request) }}
{{- end }}
{{- range concat (.Values.initContainers | default list) (.Values.extraContainers | default list) }}
{{- $name := .name }}
{{- $requests := dig "resources" "requests" dict . }}
{{- $limits := dig "resources" "limits" dict . }}
{{- range list "cpu" "memory" }}
{{- if not (hasKey $limits .) }}
{{- $faults = append $faults (printf "the container %s has no %s limit, but a pod gets exclusive cores only if every container has limits for CPU and memory that equal its requests (fractions are fine): set resources.limits.%s, or cpu.preset to shared" $name . .) }}
{{- else if and (hasKey $requests .) (ne (get $requests . | include "corepod.amount") (get $limits . | include "corepod.amount")) }}
{{- $faults = append $faults (printf "the container %s requests %v of %s with a limit of %v, but a pod gets exclusive cores only if they are equal: leave the request out, or set cpu.preset to shared" $name (get $requests .) . (get $limits .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{- define "corepod.podFaults" -}}
{{- $faults := list }}
{{- if and (eq .Values.dnsPolicy "None") (not .Values.dnsConfig.nameservers) }}
{{- $faults = append $faults "dnsPolicy is None, which needs dnsConfig.nameservers: the pods would have no name server" }}
{{- end }}
{{- if kindIs "bool" .Values.enabled }}
{{- if not .Values.enabled }}
{{- $faults = append $faults "enabled is false, which switches a chart off only where it is a dependency: give the dependency a `condition` in the parent's Chart.yaml" }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{- define "corepod.timeFaults" -}}
{{- $faults := list }}
{{- $stop := include "corepod.stopTimeout" . | float64 }}
{{- with .Values.terminationGracePeriodSeconds }}
{{- $hook := include "corepod.hookTime" $ | float64 }}
{{- if lt (float64 .) (addf $stop $hook) }}
{{- $faults = append $faults (printf "terminationGracePeriodSeconds is %v, less than the %v seconds of settings.stop_timeout%s: Kubernetes would kill the pod while it drains" . $stop (gt $hook 0.0 | ternary (printf " and the %v of lifecycle.preStop" $hook) "")) }}
{{- end }}
{{- end }}
{{- $lame := include "corepod.lameDuck" . | float64 }}
{{- if and $lame (ge $lame $stop) }}
{{- $faults = append $faults (printf "settings.lame_duck is %v, which leaves no time to drain: settings.stop_timeout is %v and includes it" $lame $stop) }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{- define "corepod.numberFaults" -}}
{{- $faults := list }}
{{- with .Values.autoscaling }}
{{- if and .enabled (not (or .targetCPU .targetMemory .metrics)) }}
{{- $faults = append $faults "autoscaling is enabled without a metric: set autoscaling.targetCPU, autoscaling.targetMemory or autoscaling.metrics" }}
{{- end }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- $faults = append $faults (printf "autoscaling.minReplicas is %v, above autoscaling.maxReplicas, %v" .minReplicas .maxReplicas) }}
{{- end }}
{{- end }}
{{- toJson (concat $faults (include "corepod.pdbFaults" . | fromJsonArray)) }}
{{- end }}

{{- define "corepod.operatorFaults" -}}
{{- $faults := list }}
{{- if include "corepod.sized" . }}
{{- $bounds := eq (.Values.operator.sizing.mode | default "fit") "hpa-bounds" }}
{{- if and .Values.autoscaling.enabled (not $bounds) }}
{{- $faults = append $faults "both autoscaling and the operator are enabled, and each would set the number of pods: disable one, or set operator.sizing.mode to hpa-bounds and operator.hpaBounds to true" }}
{{- end }}
{{- if and $bounds (not (and .Values.autoscaling.enabled .Values.operator.hpaBounds)) }}
{{- $faults = append $faults "operator.sizing.mode is hpa-bounds, which needs autoscaling.enabled and operator.hpaBounds" }}
{{- end }}
{{- if and .Values.operator.allNamespaces .Values.operator.namespaces }}
{{- $faults = append $faults "operator.namespaces and operator.allNamespaces are both set: leave operator.namespaces empty, or set operator.allNamespaces to false" }}
{{- end }}
{{- if and .Values.full (hasKey .Values.operator.sizing "headroom") }}
{{- $faults = append $faults "operator.sizing.headroom is set, but full means a headroom of 0" }}
{{- end }}
{{- if and (hasKey .Values.operator.sizing "autoscaledNodes") (hasKey .Values.operator.sizing "autoscaled-nodes") }}
{{- $faults = append $faults "operator.sizing.autoscaledNodes and operator.sizing.autoscaled-nodes are the same setting: keep one of them" }}
{{- end }}
{{- $most := .Values.operator.sizing.max }}
{{- if and (not (kindIs "invalid" $most)) (lt (int $most) (dig "min" 1 .Values.operator.sizing | int)) }}
{{- $faults = append $faults (printf "operator.sizing.min is above operator.sizing.max, %v" $most) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{- define "corepod.frontFaults" -}}
{{- $faults := list }}
{{- if .Values.front.enabled }}
{{- $most := include "corepod.mostPods" . }}
{{- $places := include "corepod.front.places" . | int }}
{{- if kindIs "invalid" .Values.front.places }}
{{- if and (not $most) (include "corepod.sized" .) }}
{{- $faults = append $faults "operator.sizing.max is not set, so nothing says for how many pods the front needs places: set it, or front.places" }}
{{- else if gt $places 1000 }}
{{- $faults = append $faults (printf "the front would need %d places for %s pods (half as many again), and has 1000 at the most: lower the largest number of pods, or use a proxy that follows the EndpointSlices (docs/balancing.md)" $places $most) }}
{{- end }}
{{- else if and $most (le $places (int $most)) }}
{{- $faults = append $faults (printf "front.places is %d, but there may be %s pods, and a rollout adds others: pods without a place get no requests; leave it empty, or raise it" $places $most) }}
{{- end }}
{{- $lame := include "corepod.lameDuck" . | float64 }}
{{- if lt $lame 3.0 }}
{{- $faults = append $faults (printf "settings.lame_duck is %v, but the front needs up to 3 seconds to see that a pod stops: leave it at 5" $lame) }}
{{- end }}
{{- if .Values.settings.tls_cert }}
{{- $faults = append $faults "settings.tls_cert is set, but the front speaks plain HTTP with the pods: end TLS at the Ingress, the Gateway or the load balancer before the front" }}
{{- end }}
{{- if and .Values.front.trustedProxies (not .Values.settings.trusted_proxies) (not (include "corepod.trustsFront" .)) }}
{{- $faults = append $faults "front.trustedProxies is set, but the pods don't believe the front, because everybody can connect to them: set networkPolicy.enabled, or settings.trusted_proxies" }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* With a budget that allows no eviction, every drain of a node would wait for ever. */}}
{{- define "corepod.pdbFaults" -}}
{{- $faults := list }}
{{- $least := include "corepod.scaled" . | default (.Values.replicas | default 1) | int }}
{{- with .Values.pdb }}
{{- if .enabled }}
{{- if kindIs "invalid" .minAvailable }}
{{- if has (toString .maxUnavailable) (list "0" "0%") }}
{{- $faults = append $faults "pdb.maxUnavailable is 0: no node with a pod could be drained" }}
{{- end }}
{{- else if eq (toString .minAvailable) "100%" }}
{{- $faults = append $faults "pdb.minAvailable is 100%: no node with a pod could be drained" }}
{{- else if and (not (kindIs "string" .minAvailable)) (ge (int .minAvailable) $least) }}
{{- $faults = append $faults (printf "pdb.minAvailable is %v, but there may be no more than %d pod(s) (replicas, autoscaling.minReplicas): no node with one could be drained; lower it, or use pdb.maxUnavailable" .minAvailable $least) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Settings that other values or the chart itself decide. */}}
{{- define "corepod.settingsFaults" -}}
{{- $by := dict
  "app" "app.module" "factory" "app.factory" "interface" "app.interface" "workers" "cpu.slots"
  "user" "podSecurityContext" "group" "podSecurityContext"
  "bind" "the chart (port 8000 of all addresses, IPv4 and IPv6)" "admin" "the chart (port 9000 of all addresses, IPv4 and IPv6)" "termination_log" "the chart"
  "reload" "corepod dev, which is no pod" "reload_dir" "corepod dev, which is no pod"
  "reload_include" "corepod dev, which is no pod" "reload_exclude" "corepod dev, which is no pod"
  "log_file" "the chart (kubectl logs)" "log_max_size" "the chart (kubectl logs)" "log_files" "the chart (kubectl logs)"
  "shared" "state.valkey or state.existing" "shared_required" "state.required"
  "tls_key_password" "a Secret (extraEnv with COREPOD_TLS_KEY_PASSWORD and a secretKeyRef)"
}}
{{- $faults := list }}
{{- range $name, $_ := .Values.settings }}
{{- if hasKey $by $name }}
{{- $faults = append $faults (printf "settings.%s can't be set here: it is decided by %s" $name (get $by $name)) }}
{{- end }}
{{- end }}
{{- if has (.Values.command | default list | first | default "corepod") (list "corepod" "/usr/local/bin/corepod") }}
{{- range .Values.args }}
{{- $name := regexFind "^--[a-z0-9-]+" . | trimPrefix "--" | replace "-" "_" }}
{{- if hasKey $by $name }}
{{- $faults = append $faults (printf "args has %s, but that is decided by %s" . (get $by $name)) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Server-side apply refuses duplicate names, and it would be unclear which of two values is used. */}}
{{- define "corepod.envFaults" -}}
{{- $taken := list "COREPOD_BIND" "COREPOD_ADMIN" "COREPOD_TERMINATION_LOG" }}
{{- range include "corepod.ownEnv" . | fromYamlArray }}
{{- $taken = append $taken .name }}
{{- end }}
{{- $faults := list }}
{{- $seen := list }}
{{- range .Values.extraEnv }}
{{- if has .name $taken }}
{{- $faults = append $faults (printf "extraEnv has %s, which the chart sets already (app, cpu.slots, settings, state, or by itself)" .name) }}
{{- else if has .name $seen }}
{{- $faults = append $faults (printf "extraEnv has %s twice: it would be unclear which one is used" .name) }}
{{- end }}
{{- $seen = append $seen .name }}
{{- if not (or (kindIs "string" .value) (kindIs "invalid" .value)) }}
{{- $faults = append $faults (printf "extraEnv: the value of %s is %s, but a variable is text: write it in quotes, or use --set-string on the command line" .name (toJson .value)) }}
{{- else if and .value .valueFrom }}
{{- $faults = append $faults (printf "extraEnv: %s has a value and valueFrom: leave one of them out" .name) }}
{{- end }}
{{- end }}
{{- $seen = list }}
{{- range .Values.operator.env }}
{{- if eq .name "POD_NAMESPACE" }}
{{- $faults = append $faults "operator.env has POD_NAMESPACE, which the chart sets already" }}
{{- else if has .name $seen }}
{{- $faults = append $faults (printf "operator.env has %s twice: it would be unclear which one is used" .name) }}
{{- end }}
{{- $seen = append $seen .name }}
{{- if and .value .valueFrom }}
{{- $faults = append $faults (printf "operator.env: %s has a value and valueFrom: leave one of them out" .name) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}
