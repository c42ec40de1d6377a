package cli

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/transfer"
)

func (a *app) cpCmd() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "cp SOURCE DESTINATION", Short: "Copy files and directories into, out of and between running guests", Args: takes(2, 2),
		Long:    "Copy files and directories into, out of and between running guests.\n\nA place in a guest is NAME:/PATH. A source goes into a destination that is a directory.",
		Example: "  berth cp index.html web:/srv/www/\n  berth cp db:/var/lib/db ./backup",
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := place(args[0])
			if err != nil {
				return err
			}
			to, err := place(args[1])
			if err != nil {
				return err
			}
			if from.Container == "" && to.Container == "" {
				return usageError(errors.New("neither place is in a guest: write NAME:/PATH"))
			}
			h, err := a.open()
			if err != nil {
				return err
			}
			return h.Copy(cmd.Context(), from, to, keep)
		},
	}
	c.Flags().BoolVar(&keep, "archive", false, "keep owners, by their numbers; otherwise what is copied belongs to root")
	return c
}

// place reads NAME:/PATH, or a path of the host. One with a colon is told from
// a guest's by a slash before the colon.
func place(arg string) (berth.Place, error) {
	name, p, ok := strings.Cut(arg, ":")
	if !ok || strings.Contains(name, "/") {
		abs, err := filepath.Abs(arg)
		return berth.Place{Path: abs}, err
	}
	n, err := container.ParseName(name)
	if err != nil {
		return berth.Place{}, usageError(err)
	}
	if !path.IsAbs(p) {
		return berth.Place{}, usageError(fmt.Errorf("%s: a path in a guest begins with /", arg))
	}
	return berth.Place{Container: n, Path: p}, nil
}

// packCmd and unpackCmd are the ends of a copy that are in a guest.
func (a *app) packCmd() *cobra.Command {
	var o transfer.Options
	c := &cobra.Command{Use: "pack PATH", Hidden: true, Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return transfer.Send(cmd.Context(), a.Out, args[0], o)
		}}
	c.Flags().BoolVar(&o.KeepOwners, "archive", false, "keep owners")
	return c
}

func (a *app) unpackCmd() *cobra.Command {
	var o transfer.Options
	c := &cobra.Command{Use: "unpack PATH NAME", Hidden: true, Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return transfer.Receive(cmd.Context(), a.In, args[0], args[1], o)
		}}
	c.Flags().BoolVar(&o.KeepOwners, "archive", false, "keep owners")
	return c
}
