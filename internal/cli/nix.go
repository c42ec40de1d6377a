package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
)

func (a *app) nixCmd() *cobra.Command {
	c := &cobra.Command{Use: "nix", Short: "Store paths of Nix, in a store of berth's own",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(a.nixPullCmd(), a.nixPushCmd(), a.nixServeCmd(), a.nixLsCmd(), a.nixRmCmd(), a.nixGCCmd())
	return c
}

func (a *app) nixPullCmd() *cobra.Command {
	var o berth.PullOptions
	c := &cobra.Command{
		Use: "pull CACHE PATH|HASH...", Short: "Bring store paths and all they refer to from a binary cache", Args: takes(2, noLimit),
		Long: `Bring store paths and all they refer to from a binary cache into berth's own store. CACHE is a URL (https, http, file,
s3 for buckets that everybody may read) or a directory. Nix need not be on this host. Each path has to be signed by a key that
is trusted: that of cache.nixos.org, or instead those of nix.trustedPublicKeys in /etc/berth/berth.yaml, and those given here.
What is there is not fetched again, also after an interrupted pull.`,
		Example: "  berth nix pull https://cache.nixos.org /nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60 --name tools\n  berth nix pull file:///srv/cache 00bgd045z0d4icpbc2yyz4gx48ak44la --trusted-public-key 'cache.example.com-1:KEY'",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			p, err := h.PullStore(cmd.Context(), args[0], args[1:], o)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(p)
			}
			for _, path := range p.Paths {
				fmt.Fprintln(a.Out, path)
			}
			a.say("%d store paths fetched, %s", p.Fetched, size(p.Bytes))
			return nil
		},
	}
	c.Flags().StringVar(&o.Name, "name", "", "keep the paths under this name; without, berth nix gc may remove them while no container uses them")
	c.Flags().StringArrayVar(&o.Keys, "trusted-public-key", nil, "trust signatures of this key, too; may be given more than once")
	c.Flags().IntVar(&o.Jobs, "jobs", 0, "fetch so many paths at a time (default: the number of processors, at least 4)")
	return a.jsonFlag(c)
}

func (a *app) nixPushCmd() *cobra.Command {
	var o berth.PushOptions
	c := &cobra.Command{
		Use: "push CACHE|HOST PATH|HASH|NAME...", Short: "Write store paths and all they refer to into a binary cache in a directory, or over SSH into another host's store", Args: takes(2, noLimit),
		Long: `Write store paths of berth's own store and all they refer to into a binary cache in a directory, or over SSH into the store of
another host, as far as it does not have them. HOST is ssh://[USER@]HOST[:PORT]. There they come into the store of Nix where
nix-store is in the PATH of commands that ssh runs, and otherwise into berth's own. NIX_SSHOPTS has more options for ssh, and
HOST, as Nix has it, the settings ?remote-program=PROGRAM, which runs with --serve --write, ssh-key=FILE and compress=true.
What came into a store in this way and is used by no container goes with the next collection of garbage.`,
		Example: "  berth nix push file:///srv/cache tools\n  berth nix push ssh://root@host.example.com tools",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			p, err := h.PushStore(cmd.Context(), args[0], args[1:], o)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(p)
			}
			a.say("%d store paths written, %s", p.Written, size(p.Bytes))
			return nil
		},
	}
	c.Flags().StringVar(&o.Compression, "compression", "", "zstd, xz or none, of files in a cache (default: zstd)")
	c.Flags().StringVar(&o.KeyFile, "secret-key-file", "", "sign with the key in this file, too")
	return a.jsonFlag(c)
}

func (a *app) nixServeCmd() *cobra.Command {
	var write, serve bool
	c := &cobra.Command{
		Use: "serve", Short: "Give berth's own store to who speaks the protocol of nix-store --serve on standard input and output", Args: takes(0, 0),
		Long: `Give berth's own store to who speaks the protocol of nix-store --serve on standard input and output. It is what berth nix push
runs on another host. Nix may do so as well, and brings store paths to a host that has none. Who may log in may bring what they
like: nobody is asked for a signature.`,
		Example: "  nix copy --to 'ssh://root@host.example.com?remote-program=berth nix serve' ./result",
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			return h.ServeStore(cmd.Context(), a.In, a.Out, write)
		},
	}
	c.Flags().BoolVar(&write, "write", false, "take store paths")
	c.Flags().BoolVar(&serve, "serve", false, "")
	_ = c.Flags().MarkHidden("serve") // Nix says it to any program
	return c
}

func (a *app) nixLsCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List store paths, and the names and containers that keep them", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			all, err := h.StorePaths()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all)
			}
			rows := [][]string{{"PATH", "SIZE", "KEPT BY"}}
			for _, p := range all {
				rows = append(rows, []string{string(p.Path), size(p.Size), strings.Join(p.Names, " ")})
			}
			return table(a.Out, rows)
		},
	})
}

func (a *app) nixRmCmd() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME...", Short: "Forget names of store paths, so that gc can remove what they kept", Args: takes(1, noLimit),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := h.RemoveStoreName(name); err != nil {
					return err
				}
				a.say("%s: forgotten", name)
			}
			return nil
		},
	}
}

func (a *app) nixGCCmd() *cobra.Command {
	return &cobra.Command{
		Use: "gc", Short: "Remove store paths that no name and no container needs", Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			gone, err := h.CollectStore(cmd.Context())
			for _, p := range gone.Paths {
				a.say("%s: removed", p)
			}
			if err != nil && len(gone.Paths) == 0 {
				return err
			}
			a.say("%d store paths removed, %s freed", len(gone.Paths), size(gone.Freed))
			return err
		},
	}
}
