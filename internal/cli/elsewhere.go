package cli

import "strings"

// commandElsewhere says what does here what a command of Docker, Incus, machinectl
// or nixos-container does there; "" where it is none of those.
func commandElsewhere(name string) string {
	here := map[string]string{
		"compose": "up, with a berth.yaml", "config": "plan", "rm": "destroy NAME", "kill": "terminate NAME", "unpause": "resume NAME", "images": "image ls",
		"rmi": "image rm IMAGE", "pull": "image import REFERENCE", "build": "image import REFERENCE", "inspect": "status NAME --json, and berth show NAME", "top": "exec NAME -- top", "stats": "status NAME",
		"launch": "create NAME --image REFERENCE --start", "init": "create NAME --image REFERENCE", "delete": "destroy NAME", "info": "status NAME", "console": "login NAME",
		"poweroff": "stop NAME", "reboot": "restart NAME", "remove": "destroy NAME", "import-tar": "create NAME --image tar:/PATH", "pull-tar": "create NAME --image tar:/PATH",
		"copy-to": "cp FILE NAME:/PATH", "copy-from": "cp NAME:/PATH FILE", "enable": "set NAME autoStart=true", "disable": "set NAME autoStart=false", "bind": "set NAME bindMounts./PATH.hostPath=/PATH",
		"root-login": "shell NAME", "show-ip": "status NAME", "file": "cp FILE NAME:/PATH", "volume": "set NAME bindMounts./PATH.hostPath=/PATH",
		"secret": "set NAME credentials='[{ id: ID, path: /PATH }]'",
	}[name]
	switch name {
	case "snapshot", "export", "commit", "save":
		return "stop the container, and keep its directory below /var/lib/berth/containers"
	case "rename":
		return "a container keeps its name: make another one"
	}
	if here == "" {
		return ""
	}
	return "here it is berth " + here
}

// flagElsewhere says what does here what a flag of the same command of Docker
// does there; "" where there is none.
func flagElsewhere(command, flag string) string {
	here := map[string]string{
		"berth -v":                   "berth version prints it",
		"ls -a --all":                "berth ls shows all containers, running or not",
		"up -d --detach":             "leave it out: guests run on when the command has ended",
		"up --build":                 "leave it out: an image whose source has changed is imported anew",
		"down -v --volumes":          "what guests have written stays: berth destroy NAME removes it",
		"stop -t --time":             "write --timeout 10s",
		"restart -t --time":          "write --timeout 10s",
		"logs --tail":                "write -n LINES",
		"create -d -i -t --detach":   "write --start: the guest runs on, and berth shell NAME is a shell in it",
		"create --name":              "write the name alone, as the first argument",
		"create -p --publish":        "write privateNetwork=true forwardPorts='[{ hostPort: 8080, containerPort: 80 }]'",
		"create -v --volume --mount": "write bindMounts./PATH.hostPath=/PATH",
		"create -e --env":            "write environment.KEY=VALUE",
		"create -m --memory":         "write limits.memoryMax=1G",
		"create --cpus":              "write limits.cpuQuota=150%",
		"create -l --label":          "write labels.KEY=VALUE",
		"create --network --net":     "write privateNetwork=true, and networks=[NAME] for one that is not the default one",
		"create --restart":           "leave it out: a guest that fails is started again; autoStart=true starts it with the machine",
		"create --cap-add":           "write additionalCapabilities=[CAP_NET_ADMIN]",
		"create --cap-drop":          "write dropCapabilities=[CAP_NET_ADMIN]",
		"create --device":            "write allowedDevices='[{ node: /dev/fuse, modifier: rw }]'",
	}
	if len(flag) == 1 {
		flag = "-" + flag
	} else {
		flag = "--" + flag
	}
	for key, hint := range here {
		words := strings.Fields(key)
		for _, f := range words[1:] {
			if words[0] == command && f == flag {
				return hint
			}
		}
	}
	return ""
}
