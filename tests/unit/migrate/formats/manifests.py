"""Manifests for the tests, written for them."""

SHOP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: prod, labels: {app: shop}}
spec:
  replicas: 3
  selector: {matchLabels: {app: shop}}
  template:
    metadata:
      labels: {app: shop, tier: web}
      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080", prometheus.io/path: /prom}
    spec:
      serviceAccountName: shop
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 5
      securityContext: {runAsUser: 1000, runAsNonRoot: true}
      initContainers:
        - {name: migrate, image: "registry.test/shop:1.2", command: [python, manage.py, migrate]}
      containers:
        - name: web
          image: registry.test:5000/shop:1.2
          command: [gunicorn]
          args: [shop.wsgi, "--bind=0.0.0.0:$(PORT)", --workers, "4", --worker-tmp-dir, /dev/shm]
          ports: [{containerPort: 8080, name: http}]
          env:
            - {name: PORT, value: "8080"}
            - {name: PROMETHEUS_MULTIPROC_DIR, value: /prom}
            - {name: SECRET, valueFrom: {secretKeyRef: {name: shop, key: secret}}}
          envFrom: [{configMapRef: {name: shop}}]
          resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {cpu: 500m, memory: 512Mi}}
          readinessProbe: {httpGet: {path: /health, port: 8080}, initialDelaySeconds: 10, periodSeconds: 10}
          livenessProbe: {httpGet: {path: /health, port: 8080}, initialDelaySeconds: 200, timeoutSeconds: 1}
          lifecycle: {preStop: {exec: {command: [sh, -c, sleep 10]}}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: prom, mountPath: /prom}, {name: scratch, mountPath: /tmp}]
      volumes: [{name: prom, emptyDir: {}}, {name: scratch, emptyDir: {sizeLimit: 1Gi}}]
      nodeSelector: {pool: web}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {type: ClusterIP, selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, annotations: {alb.ingress.kubernetes.io/healthcheck-path: /health}}
spec:
  ingressClassName: alb
  rules:
    - host: shop.test
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {kind: Deployment, name: shop, apiVersion: apps/v1}
  minReplicas: 2
  maxReplicas: 10
  metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}
    - {type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {LANG: C.UTF-8}
"""
# One worker on a whole core of its own: what corepod is for.
PINNED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      terminationGracePeriodSeconds: 60
      containers:
        - name: api
          image: registry.test/api@sha256:1111111111111111111111111111111111111111111111111111111111111111
          command: [/srv/venv/bin/uvicorn, "api.main:app", --host, 0.0.0.0, --port, "80"]
          ports: [{containerPort: 80}]
          resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: "1", memory: 1Gi}}
          startupProbe: {tcpSocket: {port: 80}, periodSeconds: 5, failureThreshold: 60}
"""
BOTH = {"shop": SHOP, "pinned": PINNED}
