BeforeDiscovery {
    $root = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..'))
    $built = [IO.File]::Exists([IO.Path]::Combine($root, 'artifacts', 'shell', 'x86virt-shell'))
    # script(1) gives a program a terminal; its options are those of Linux.
    $terminal = $built -and $IsLinux -and (Get-Command script -CommandType Application -ErrorAction Ignore)
}

BeforeAll {
    . $PSScriptRoot/TestMachines.ps1
    $root = [IO.Path]::GetFullPath([IO.Path]::Combine($PSScriptRoot, '..', '..'))
    $hostProgram = [IO.Path]::Combine($root, 'artifacts', 'shell', 'x86virt-shell')
    $manifest = [IO.Path]::Combine($root, 'module', 'X86Virt.psd1')

    function Invoke-EmbeddedHost {
        $lines = & $hostProgram @args 2>&1 | ForEach-Object { "$_" }
        [pscustomobject]@{ Text = $lines -join "`n"; ExitCode = $LASTEXITCODE }
    }

    # What a terminal shows after those keys.
    function Send-EmbeddedHostKey([string] $Keys) {
        $keys = Save-TestFile 'keys' ([Text.Encoding]::UTF8.GetBytes($Keys))
        & sh -c "XDG_DATA_HOME='$TestDrive' TERM=xterm script -qec `"'$hostProgram' -Module '$manifest'`" /dev/null < '$keys'" | Out-String
    }
}

Describe 'The embedded host' -Skip:(-not $built) {
    It 'runs a script with arguments and leaves with its exit code' {
        $path = Save-TestFile 'arguments.ps1' ([Text.Encoding]::UTF8.GetBytes('param($A, [switch] $B, $C = 3) "A=$A B=$B C=$C rest=$args"; exit 7'))
        $run = Invoke-EmbeddedHost $path one -B -C:'a b' more
        $run.Text | Should -Be 'A=one B=True C=a b rest=more'
        $run.ExitCode | Should -Be 7
    }

    It 'leaves with <ExitCode> after: <Command>' -ForEach @(
        @{ Command = '1 + 1'; ExitCode = 0; Says = '2' }
        @{ Command = 'exit 5'; ExitCode = 5; Says = '' }
        @{ Command = 'throw "no"'; ExitCode = 1; Says = '*no*' }
        @{ Command = '$ErrorActionPreference = "Stop"; Get-Item /nothing/there; "after"'; ExitCode = 1; Says = '*/nothing/there*' }
    ) {
        $run = Invoke-EmbeddedHost -Command $Command
        $run.ExitCode | Should -Be $ExitCode
        $run.Text | Should -BeLike $Says
        $run.Text | Should -Not -BeLike '*after*'
    }

    It 'says what it can be given' {
        $run = Invoke-EmbeddedHost -Help
        $run.ExitCode | Should -Be 0
        $run.Text | Should -BeLike 'usage: x86virt*-Command*'
    }

    It 'refuses <Why>' -ForEach @(
        @{ Why = 'a script that is not there'; Arguments = @('/nothing/there.ps1'); Says = '*/nothing/there.ps1*' }
        @{ Why = 'an argument it does not know'; Arguments = @('-Telepathy'); Says = "*-Telepathy*usage*" }
        @{ Why = 'a command that is missing'; Arguments = @('-Command'); Says = '*-Command*usage*' }
    ) {
        $run = Invoke-EmbeddedHost @Arguments
        $run.ExitCode | Should -Be 64
        $run.Text | Should -BeLike $Says
    }
}

Describe 'The prompt of the embedded host' -Skip:(-not $terminal) {
    It 'obeys <Keys>' -ForEach @(
        @{ Keys = 'Ctrl-U'; Typed = "rubbish`u{15}'clean' + 'ed'`r"; Shows = 'cleaned' }
        @{ Keys = 'Ctrl-A, Ctrl-K'; Typed = "rubbish`u{1}`u{b}'clean' + 'ed'`r"; Shows = 'cleaned' }
        @{ Keys = 'Ctrl-W'; Typed = "'clean' + 'ed' + rubbish`u{17}'up'`r"; Shows = 'cleanedup' }
        @{ Keys = 'Tab'; Typed = "New-VirtualM`t -Name test-typed -Memory 1MB | ForEach-Object { `"it is `$(`$_.Name)`" }`r"; Shows = 'it is test-typed' }
        @{ Keys = 'Up'; Typed = "'hist' + 'ory'`r`e[A + ' again'`r"; Shows = 'history again' }
        @{ Keys = 'Down back to what was being typed'; Typed = "'hist' + 'ory'`r'dra' + `e[A`e[B'ft'`r"; Shows = 'draft' }
        @{ Keys = 'Up to a statement of two lines'; Typed = "if (`$true) {`r'twice' * 2 }`r`e[A`u{1}`$null = `u{5}; 'end' + 'ed'`r"; Shows = 'ended' }
    ) {
        Send-EmbeddedHostKey "${Typed}exit`r" | Should -Match ('(?m)^' + [regex]::Escape($Shows) + '\r?$')
    }
}

Describe "Wait-Event of the embedded host" {
    # Run in the host itself, whichever runs the tests: pwsh has a Wait-Event of its own.
    It 'bears an event that is still under way when the wait is over' -Skip:(-not $built) {
        $script = Save-TestFile 'wait.ps1' ([Text.Encoding]::UTF8.GetBytes(@'
$state = [initialsessionstate]::CreateDefault2()
$state.Commands.Add([Management.Automation.Runspaces.SessionStateCmdletEntry]::new('Wait-Event', (Get-Command Wait-Event).ImplementingType, $null))
$runspace = [runspacefactory]::CreateRunspace($state)
$runspace.Open()
$shell = [powershell]::Create()
$shell.Runspace = $runspace
$null = $shell.AddCommand('Wait-Event').AddArgument('waited').AddParameter('Timeout', 20)
$field = [Management.Automation.PSEventArgsCollection].GetFields('NonPublic,Instance') | Where-Object { $_.FieldType.Name -eq 'PSEventReceivedEventHandler' }
$waiting = $shell.BeginInvoke()
do { $handler = $field.GetValue($runspace.Events.ReceivedEvents) } until ($handler -or $waiting.IsCompleted)
$null = $runspace.Events.GenerateEvent('waited', $null, $null, $null)
"received $($shell.EndInvoke($waiting).SourceIdentifier)"
$shell.Dispose()
$handler.Invoke($null, $null)
'survived'
'@))
        (Invoke-EmbeddedHost $script).Text | Should -Be "received waited`nsurvived"
    }
}
